// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadSchema, sampleOf, toProtoJson, variantsOf } from "../__fixtures__/sample-messages.js";
import * as codec from "../generated/codec.js";
import { ErrorCode, HealthState } from "../generated/messages.js";
import { fromBytes, toBytes } from "./bytes.js";
import type { Decoder, Encoder } from "./scalars.js";

interface Golden {
	readonly type: string;
	readonly hex: string;
	readonly json: unknown;
}

const functions = codec as unknown as Record<string, unknown>;
const encoderOf = (name: string) => functions[`encode${name}`] as Encoder<never>;
const decoderOf = (name: string) => functions[`decode${name}`] as Decoder<Record<string, unknown>>;
const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const types = loadSchema();

/** Verified against Python's protobuf by test/system/grpcio.test.ts; `vitest -u` writes it. */
const goldenPath = fileURLToPath(new URL("../__fixtures__/golden-messages.json", import.meta.url));

function current(): Golden[] {
	return types.flatMap((type) =>
		Array.from({ length: variantsOf(type) }, (_, variant) => {
			const message = sampleOf(type, variant);
			const bytes = toBytes(encoderOf(type.name), message as never);
			return { type: type.name, hex: bytes.toString("hex"), json: toProtoJson(message) };
		}),
	);
}

describe("generated code", () => {
	it("is what proto/ says", () => {
		const script = fileURLToPath(new URL("../../scripts/generate.mjs", import.meta.url));
		expect(() => execFileSync(process.execPath, [script, "--check"], { stdio: "pipe" })).not.toThrow();
	});

	it("encodes every field of every message as it always did", async () => {
		await expect(`${JSON.stringify(current(), null, "\t")}\n`).toMatchFileSnapshot(goldenPath);
	});

	it("decodes what it encodes: every field, and none", () => {
		expect(types.length).toBeGreaterThan(60);
		for (const type of types) {
			for (let variant = 0; variant < variantsOf(type); variant++) {
				const message = sampleOf(type, variant);
				expect(fromBytes(decoderOf(type.name), toBytes(encoderOf(type.name), message as never))).toEqual(
					message,
				);
			}
			expect(toBytes(encoderOf(type.name), {} as never).length).toBe(0);
			const empty = fromBytes(decoderOf(type.name), new Uint8Array(0));
			expect(toBytes(encoderOf(type.name), empty as never).length, type.name).toBe(0);
		}
	});

	it("tells absent from zero", () => {
		const sampling = fromBytes(codec.decodeSamplingParams, hex("09 0000000000000000 1800 4000"));
		expect(sampling).toMatchObject({ temperature: 0, topK: 0, seed: 0n });
		expect(sampling.topP).toBeUndefined();
		expect(toBytes(codec.encodeSamplingParams, { temperature: 0, seed: 0n }).toString("hex")).toBe(
			"0900000000000000004000",
		);
		expect(fromBytes(codec.decodeGenerateRequest, hex("1a00")).prompt).toBe("");
	});

	it("takes packed and unpacked numbers, skips unknown fields and takes the last of a oneof", () => {
		expect(fromBytes(codec.decodeTokenIds, hex("0a03010280 01".replace(" ", ""))).ids).toEqual([1, 2, 128]);
		expect(fromBytes(codec.decodeTokenIds, hex("0801 0802 0a0103")).ids).toEqual([1, 2, 3]);
		expect(fromBytes(codec.decodeTokenIds, hex("f00701 fa0702aabb 0801")).ids).toEqual([1]);
		const request = fromBytes(codec.decodeGenerateRequest, hex("1a0161 2200"));
		expect(request.prompt).toBeUndefined();
		expect(request.tokenIds).toEqual({ ids: [] });
	});

	it("takes unknown enum values for UNSPECIFIED", () => {
		expect(fromBytes(codec.decodeHealthResponse, hex("0863")).state).toBe(HealthState.UNSPECIFIED);
		expect(fromBytes(codec.decodeHealthResponse, hex("08ffffffffffffffffff01")).state).toBe(0);
	});

	it("refuses bytes that end too soon", () => {
		expect(() => fromBytes(codec.decodeGenerateRequest, hex("0a05 61"))).toThrow();
		expect(() => fromBytes(codec.decodeGenerateResponse, hex("1a05 0801"))).toThrow();
	});
});

// A July 2026 draft counts these differently: its client would take this server's NOT_READY and INTERNAL for DRAINING.
describe("is v0.1.0 and not the draft", () => {
	it("HealthState.NOT_READY is 4", () => {
		expect(toBytes(codec.encodeHealthResponse, { state: HealthState.NOT_READY }).toString("hex")).toBe(
			"0804",
		);
	});

	it("ErrorCode.INTERNAL is 11", () => {
		expect(toBytes(codec.encodeEngineError, { code: ErrorCode.INTERNAL }).toString("hex")).toBe("080b");
	});

	it("KvConnectorInfo.schema_version is 8", () => {
		expect(toBytes(codec.encodeKvConnectorInfo, { schemaVersion: 3 }).toString("hex")).toBe("4003");
	});
});

describe("a Struct", () => {
	const round = (attributesStruct: object) =>
		fromBytes(
			codec.decodeKvSessionRef,
			toBytes(codec.encodeKvSessionRef, { attributesStruct: attributesStruct as never }),
		).attributesStruct;

	it("is JSON, without loss", () => {
		fc.assert(
			fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (object) => {
				expect(JSON.stringify(round(object))).toBe(JSON.stringify(object));
			}),
			{ numRuns: 300, seed: 7 },
		);
	});

	it("says integers beyond 2^53 as text, and keeps strange keys", () => {
		expect(round({ id: 2n ** 60n })).toEqual({ id: "1152921504606846976" });
		const strange = JSON.parse('{"__proto__": {"a": 1}, "": 0}');
		expect(JSON.stringify(round(strange))).toBe(JSON.stringify(strange));
	});

	it("refuses numbers that are none, and endless nesting both ways", () => {
		expect(() => round({ x: Number.NaN })).toThrow("no JSON number");
		let deep: unknown = 1;
		for (let i = 0; i < 120; i++) deep = [deep];
		expect(() => round({ deep })).toThrow("deeper than 100");
		let bytes = hex("1100000000000000 00".replace(" ", ""));
		for (let i = 0; i < 120; i++) {
			const item = Buffer.concat([Buffer.from([10]), length(bytes), bytes]);
			bytes = Buffer.concat([Buffer.from([50]), length(item), item]);
		}
		const entry = Buffer.concat([hex("0a0161"), Buffer.from([18]), length(bytes), bytes]);
		const struct = Buffer.concat([Buffer.from([10]), length(entry), entry]);
		const session = Buffer.concat([Buffer.from([42]), length(struct), struct]);
		expect(() => fromBytes(codec.decodeKvSessionRef, session)).toThrow("deeper than 100");
	});
});

/** A length below 2^14 as varint. */
function length(bytes: Buffer): Buffer {
	return bytes.length < 128
		? Buffer.from([bytes.length])
		: Buffer.from([(bytes.length & 127) | 128, bytes.length >> 7]);
}
