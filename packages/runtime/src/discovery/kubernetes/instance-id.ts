// SPDX-License-Identifier: Apache-2.0

const MASK_64 = (1n << 64n) - 1n;
const MASK_53 = (1n << 53n) - 1n;

const rotateLeft = (value: bigint, bits: bigint): bigint =>
	((value << bits) | (value >> (64n - bits))) & MASK_64;

/**
 * The instance id that Dynamo gives a pod, or a container by the name of its metadata resource: SipHash-1-3 with a zero
 * key (Rust's `DefaultHasher`) over the UTF-8 bytes of the name and 0xFF, cut to 53 bits.
 */
export function kubernetesInstanceId(name: string): bigint {
	return sipHash13(Buffer.concat([Buffer.from(name), Buffer.of(0xff)])) & MASK_53;
}

/** SipHash with one round per word and three at the end, key 0 (Aumasson and Bernstein, 2012). */
function sipHash13(bytes: Buffer): bigint {
	let v0 = 0x736f6d6570736575n;
	let v1 = 0x646f72616e646f6dn;
	let v2 = 0x6c7967656e657261n;
	let v3 = 0x7465646279746573n;
	const round = () => {
		v0 = (v0 + v1) & MASK_64;
		v1 = rotateLeft(v1, 13n) ^ v0;
		v0 = rotateLeft(v0, 32n);
		v2 = (v2 + v3) & MASK_64;
		v3 = rotateLeft(v3, 16n) ^ v2;
		v0 = (v0 + v3) & MASK_64;
		v3 = rotateLeft(v3, 21n) ^ v0;
		v2 = (v2 + v1) & MASK_64;
		v1 = rotateLeft(v1, 17n) ^ v2;
		v2 = rotateLeft(v2, 32n);
	};
	// The last word holds what is left, zeros, and the length's low byte.
	const padded = Buffer.alloc((Math.floor(bytes.length / 8) + 1) * 8);
	bytes.copy(padded);
	padded[padded.length - 1] = bytes.length & 0xff;
	for (let offset = 0; offset < padded.length; offset += 8) {
		const word = padded.readBigUInt64LE(offset);
		v3 ^= word;
		round();
		v0 ^= word;
	}
	v2 ^= 0xffn;
	round();
	round();
	round();
	return v0 ^ v1 ^ v2 ^ v3;
}
