// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { DynError } from "@dyn/common";
import { type HubFile, type HubOptions, hubRequest } from "./hub-client.js";
import { receiveFile } from "./receive-file.js";
import { retrying } from "./retry.js";
import { verifySha256 } from "./verify-file.js";

/**
 * Downloads one file of a repository to `target`, which gets its name only when it is whole, verified and on the disk.
 * Goes on where an earlier attempt, also of another process, stopped: `<target>.partial` holds the bytes and
 * `<target>.partial.etag` the entity tag they belong to (RFC 9110: Range with If-Range). Without either a strong tag or a
 * checksum that would find a mixture, it starts over.
 * @throws DynError MODEL_UNAVAILABLE, CHECKSUM_MISMATCH; file errors; the reason of the signal
 */
export async function downloadFile(
	repository: string,
	commit: string,
	file: HubFile,
	target: string,
	options: HubOptions,
): Promise<void> {
	if (existsSync(target)) return;
	const path = `/${repository}/resolve/${commit}/${file.name.split("/").map(encodeURIComponent).join("/")}`;
	const partial = `${target}.partial`;
	const tagFile = `${partial}.etag`;
	const discard = async () => {
		for (const name of [tagFile, partial]) await rm(name, { force: true });
	};
	let furthest = 0;

	await retrying(
		`${repository}/${file.name}`,
		async (progressed) => {
			const tag = await readFile(tagFile, "utf8").catch(() => null);
			const have = tag !== null || file.sha256 !== null ? await sizeOf(partial) : 0;
			if (have > 0 && have === file.size) return;
			if (file.size !== null && have > file.size) await discard();
			const resume = have > 0 && (file.size === null || have < file.size);
			const response = await hubRequest(
				repository,
				path,
				resume ? { range: `bytes=${have}-`, ...(tag === null ? {} : { "if-range": tag }) } : {},
				options,
			).catch(async (error) => {
				if (DynError.is(error) && error.details["status"] === 416) await discard();
				throw error;
			});

			const from = response.status === 206 ? have : 0;
			// The length of an encoded body is not the file's.
			const length = response.headers.has("content-encoding") ? null : response.headers.get("content-length");
			const promised = length === null ? null : from + Number(length);
			const expected = file.size ?? promised;
			if (promised !== null && promised !== expected) {
				await response.body?.cancel();
				throw wrongSize(file.name, promised, expected); // what is there already stays: this may be a portal's page
			}

			const newTag = strongTag(response);
			if (response.status === 206) {
				const range = response.headers.get("content-range") ?? "";
				const other = tag !== null && newTag !== null && tag !== newTag;
				if (!resume || !range.startsWith(`bytes ${have}-`) || other) {
					await response.body?.cancel();
					await discard();
					throw new DynError("MODEL_UNAVAILABLE", `${file.name} changed while it was downloaded`, {
						retryable: true,
					});
				}
			} else {
				await rm(tagFile, { force: true }); // before the bytes that it belongs to are overwritten
				if (newTag !== null) await writeFile(tagFile, newTag);
			}

			const size = await receiveFile(response.body ?? emptyBody(), partial, {
				from,
				limit: expected,
				onReceived: (receivedBytes) => {
					if (receivedBytes > furthest) {
						furthest = receivedBytes;
						progressed();
					}
					options.onProgress({ phase: "download", file: file.name, receivedBytes, totalBytes: expected });
				},
			});
			if (expected !== null && size !== expected) throw wrongSize(file.name, size, expected);
		},
		options,
	);

	if (file.sha256 !== null) {
		const bytes = await sizeOf(partial);
		options.onProgress({ phase: "verify", file: file.name, receivedBytes: bytes, totalBytes: bytes });
		await verifySha256(partial, file.name, file.sha256).catch(async (error) => {
			await discard();
			throw error;
		});
	}
	await rename(partial, target);
	await rm(tagFile, { force: true });
}

/** The answer's entity tag, if ranges may be joined by it: weak ones may not (RFC 9110 section 13.1.5). */
function strongTag(response: Response): string | null {
	const tag = response.headers.get("etag");
	return tag?.startsWith('"') ? tag : null;
}

async function sizeOf(path: string): Promise<number> {
	return (await stat(path).catch(() => null))?.size ?? 0;
}

function wrongSize(name: string, bytes: number, expected: number | null): DynError {
	return new DynError("MODEL_UNAVAILABLE", `${name} came with ${bytes} bytes instead of ${expected}`, {
		retryable: true,
	});
}

async function* emptyBody(): AsyncGenerator<Uint8Array> {}
