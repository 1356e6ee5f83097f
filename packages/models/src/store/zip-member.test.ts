// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { afterAll, describe, expect, it } from "vitest";
import { encodeZip } from "./__fixtures__/encode-zip.js";
import { findZipMember } from "./zip-member.js";

const folder = await mkdtemp(join(tmpdir(), "dyn-zip-"));
afterAll(() => rm(folder, { recursive: true }));

/** Written by Python 3.11's zipfile: a/stored.txt "hello" stored, a/deflated.txt "abc" * 100 deflated, archive comment "note". */
const GOLDEN =
	"UEsDBBQAAAAAAAAAIQCGphA2BQAAAAUAAAAMAAAAYS9zdG9yZWQudHh0aGVsbG9QSwMEFAAAAAgAAAAhAIS4xNAJAAAALAEAAA4AAABhL2RlZmxhdGVkLnR4dEtMSk4cRcQhAFBLAQIUAxQAAAAAAAAAIQCGphA2BQAAAAUAAAAMAAAAAAAAAAAAAACAAQAAAABhL3N0b3JlZC50eHRQSwECFAMUAAAACAAAACEAhLjE0AkAAAAsAQAADgAAAAAAAAAAAAAAgAEvAAAAYS9kZWZsYXRlZC50eHRQSwUGAAAAAAIAAgB2AAAAZAAAAAQAbm90ZQ==";

async function unpack(bytes: Uint8Array, member: string): Promise<string> {
	const path = join(folder, "test.whl");
	await writeFile(path, bytes);
	const { size, read } = await findZipMember(path, member);
	const pieces: Buffer[] = [];
	for await (const piece of read()) pieces.push(piece);
	expect(size).toBeGreaterThanOrEqual(0);
	return Buffer.concat(pieces).toString("latin1");
}

const archive = encodeZip([
	{ name: "first", data: Buffer.from("x".repeat(1000)), deflate: true },
	{ name: "second", data: Buffer.from("stored"), deflate: false },
	{ name: "empty", data: Buffer.alloc(0), deflate: false },
]);

describe("a member of a ZIP file", () => {
	it("is unpacked from an archive of another writer", async () => {
		expect(await unpack(Buffer.from(GOLDEN, "base64"), "a/stored.txt")).toBe("hello");
		expect(await unpack(Buffer.from(GOLDEN, "base64"), "a/deflated.txt")).toBe("abc".repeat(100));
	});

	it("may be deflated, stored or empty, and tells its size", async () => {
		expect(await unpack(archive, "first")).toBe("x".repeat(1000));
		expect(await unpack(archive, "second")).toBe("stored");
		expect(await unpack(archive, "empty")).toBe("");
		expect((await findZipMember(join(folder, "test.whl"), "first")).size).toBe(1000);
	});

	it.each<[string, () => Uint8Array, string, string]>([
		["is absent", () => archive, "third", "it has no third"],
		["is in no ZIP file", () => Buffer.from("not a zip"), "first", "it is not a ZIP file"],
		["is in an empty file", () => Buffer.alloc(0), "first", "it is not a ZIP file"],
		[
			"is in a truncated file",
			() => archive.subarray(0, archive.length - 30),
			"first",
			"it is not a ZIP file",
		],
		["lies beyond the end", () => patched("PK\u0001\u0002", 20, 2 ** 30), "first", "it is truncated"],
		[
			"has its header elsewhere",
			() => patched("PK\u0001\u0002", 42, 1),
			"first",
			"a member's header is damaged",
		],
		["is compressed otherwise", () => patched("PK\u0001\u0002", 10, 12), "first", "compressed by method 12"],
		[
			"is in a directory of 4 GB",
			() => patched("PK\u0005\u0006", 12, 2 ** 32 - 1),
			"first",
			"it is truncated",
		],
		["has damaged data", () => patched("PK\u0003\u0004", 36, 0xffffffff), "first", "pull the model again"],
	])("is refused when it %s", async (_what, bytes, member, message) => {
		await expect(unpack(bytes(), member)).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining(message),
		});
	});

	it("gives bytes or MODEL_UNAVAILABLE whatever was changed", async () => {
		let [unpacked, refused] = [0, 0];
		for (let at = 0; at < archive.length; at++) {
			for (const value of [0, 1, 127, 255]) {
				const bytes = Buffer.from(archive);
				bytes[at] = value;
				await unpack(bytes, "first").then(
					() => unpacked++,
					(error) => {
						if (!DynError.is(error, "MODEL_UNAVAILABLE")) throw error;
						refused++;
					},
				);
			}
		}
		expect(Math.min(unpacked, refused)).toBeGreaterThan(100);
	});
});

/** The archive with a little-endian 32-bit number put at `shift` after the first `marker`. */
function patched(marker: string, shift: number, value: number): Buffer {
	const bytes = Buffer.from(archive);
	bytes.writeUInt32LE(value, bytes.indexOf(marker) + shift);
	return bytes;
}
