// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../frames.js";
import { HeaderDecoder, MAX_HEADER_LIST_BYTES } from "./header-decoder.js";
import { encodeHeaders } from "./header-encoder.js";
import { decodeHuffman } from "./huffman.js";
import type { Header } from "./static-table.js";

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ""), "hex");
const decodeWith = (decoder: HeaderDecoder, block: Buffer) => decoder.decode(block, 0, block.length);
const decode = (block: Buffer) => decodeWith(new HeaderDecoder(), block);

describe("reading headers", () => {
	it("knows the examples of RFC 7541, C.6: responses with Huffman codes, a table, and what falls out of it", () => {
		const decoder = new HeaderDecoder();
		// The examples have a table of 256 bytes.
		const first = decodeWith(
			decoder,
			hex(
				"3fe101 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
			),
		);
		const date = "Mon, 21 Oct 2013 20:13:21 GMT";
		const rest: Header[] = [
			["cache-control", "private"],
			["date", date],
			["location", "https://www.example.com"],
		];
		expect(first).toEqual([[":status", "302"], ...rest]);
		expect(decodeWith(decoder, hex("4883 640e ffc1 c0bf"))).toEqual([[":status", "307"], ...rest]);
		const third = decodeWith(
			decoder,
			hex(
				"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
			),
		);
		expect(third).toContainEqual(["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"]);
		expect(third).toHaveLength(6);
		expect(() => decodeWith(decoder, hex("c2"))).toThrow(ProtocolError);
	});

	it("reads what it writes", () => {
		const text = fc.string({ unit: fc.nat(255).map((code) => String.fromCharCode(code)), maxLength: 400 });
		fc.assert(
			fc.property(fc.array(fc.tuple(text, text), { maxLength: 20 }), fc.boolean(), (headers, shrinks) => {
				expect(decode(encodeHeaders(headers, shrinks))).toEqual(headers);
			}),
			{ numRuns: 200, seed: 3 },
		);
	});

	it("throws nothing but a protocol error, whatever comes", () => {
		fc.assert(
			fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 4 }), (blocks) => {
				const decoder = new HeaderDecoder();
				try {
					for (const block of blocks) decodeWith(decoder, Buffer.from(block));
				} catch (error) {
					expect(error).toBeInstanceOf(ProtocolError);
				}
			}),
			{ numRuns: 5000, seed: 5 },
		);
	});

	it.each([
		["a table larger than allowed", "3fe21f"],
		["a change of the table's size after a header", "88 20"],
		["an index of nothing", "80"],
		["an index beyond the table", "be"],
		["an endless number", "7fffffffffffffff01"],
		["a text beyond the block", "4005 6162"],
		["a block that ends within a header", "40"],
	])("refuses %s", (_, block) => {
		expect(() => decode(hex(block))).toThrow(ProtocolError);
	});

	it.each([
		["the end mark", "ffffffff"],
		["eight bits of padding", "1fff"],
		["padding of zeros", "18"],
	])("refuses a Huffman code with %s", (_, code) => {
		expect(() => decodeHuffman(hex(code), 0, hex(code).length)).toThrow(ProtocolError);
	});

	it("refuses few bytes that mean many", () => {
		const large = encodeHeaders([["x", "v".repeat(3000)]], false);
		large[0] = 0x40; // into the table
		const decoder = new HeaderDecoder();
		decodeWith(decoder, large);
		const bomb = Buffer.alloc(Math.ceil(MAX_HEADER_LIST_BYTES / 3000) + 1, 0xbe);
		expect(() => decodeWith(decoder, bomb)).toThrow("headers of more than");
	});
});
