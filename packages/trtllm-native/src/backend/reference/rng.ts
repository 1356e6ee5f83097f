// SPDX-License-Identifier: Apache-2.0

const MASK = 0xffff_ffff_ffff_ffffn;

/**
 * The k-th number of a seed's sequence, uniform in [0, 1). Stateless, so a token's draw depends on nothing but the seed
 * and how many tokens were generated before it. All in unsigned 64 bits, wrapping; native/src/sampler.cpp does the same:
 *
 *     z = seed + (k + 1) * 0x9e3779b97f4a7c15      SplitMix64 (Steele, Lea, Flood 2014): output k + 1 of its
 *     z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9       sequence from state `seed`
 *     z = (z ^ z >> 27) * 0x94d049bb133111eb
 *     z = z ^ z >> 31
 *     (z >> 11) / 2^53
 */
export function uniformAt(seed: bigint, k: number): number {
	let z = (seed + BigInt(k + 1) * 0x9e37_79b9_7f4a_7c15n) & MASK;
	z = ((z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n) & MASK;
	z = ((z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn) & MASK;
	z ^= z >> 31n;
	return Number(z >> 11n) / 2 ** 53;
}
