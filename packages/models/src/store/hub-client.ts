// SPDX-License-Identifier: Apache-2.0
import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { DynError } from "@dyn/common";
import type { OnProgress } from "./progress.js";
import { verifySha256 } from "./verify-file.js";

export interface HubOptions {
	/** For example "https://huggingface.co". */
	readonly endpoint: string;
	readonly token?: string | undefined;
	readonly onProgress: OnProgress;
	readonly signal?: AbortSignal | undefined;
	/** Wait before the n-th retry, ms; default 500 * 2^n with jitter, at most 8 s. */
	readonly retryDelayMs?: ((attempt: number) => number) | undefined;
}

export interface HubFile {
	readonly name: string;
	readonly size: number | null;
	/** Lower-case hex, when the hub knows it. */
	readonly sha256: string | null;
}

const ATTEMPTS = 6;

/** The part of the Hugging Face hub's HTTP interface that a download needs. */
export class HubClient {
	readonly #options: HubOptions;

	constructor(options: HubOptions) {
		this.#options = options;
	}

	/** Commit and files of a repository. */
	async repository(
		repository: string,
		revision: string,
	): Promise<{ readonly commit: string; readonly files: readonly HubFile[] }> {
		const path = `/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
		const response = await this.#retrying(repository, async () => this.#get(repository, path, {}));
		const body = (await response.json()) as { sha?: unknown; siblings?: unknown };
		if (typeof body.sha !== "string" || !Array.isArray(body.siblings))
			throw new DynError(
				"MODEL_UNAVAILABLE",
				`${this.#options.endpoint} gave no file list for ${repository}`,
			);
		return {
			commit: body.sha,
			files: body.siblings.flatMap(
				(sibling: { rfilename?: unknown; size?: unknown; lfs?: { sha256?: unknown } }) =>
					typeof sibling.rfilename === "string" && isPlainPath(sibling.rfilename)
						? [
								{
									name: sibling.rfilename,
									size: typeof sibling.size === "number" ? sibling.size : null,
									sha256: typeof sibling.lfs?.sha256 === "string" ? sibling.lfs.sha256 : null,
								},
							]
						: [],
			),
		};
	}

	/** Downloads one file to `target`, going on where an earlier attempt (also of another process) stopped. */
	async download(repository: string, commit: string, file: HubFile, target: string): Promise<void> {
		const partial = `${target}.partial`;
		const path = `/${repository}/resolve/${commit}/${file.name.split("/").map(encodeURIComponent).join("/")}`;
		await this.#retrying(`${repository}/${file.name}`, async () => {
			const have = (await stat(partial).catch(() => null))?.size ?? 0;
			if (file.size !== null && have === file.size && have > 0) return;
			const usable = file.size === null || have < file.size ? have : 0;
			const response = await this.#get(repository, path, usable > 0 ? { range: `bytes=${usable}-` } : {});
			const resumes =
				response.status === 206 &&
				response.headers.get("content-range")?.startsWith(`bytes ${usable}-`) === true;
			await this.#receive(response, partial, file, resumes ? usable : 0);
		});
		if (file.sha256) {
			this.#options.onProgress({
				phase: "verify",
				file: file.name,
				receivedBytes: file.size ?? 0,
				totalBytes: file.size,
			});
			await verifySha256(partial, file.name, file.sha256).catch(async (error) => {
				await rm(partial, { force: true });
				throw error;
			});
		}
		await rename(partial, target);
	}

	async #receive(response: Response, partial: string, file: HubFile, from: number): Promise<void> {
		let receivedBytes = from;
		const count = new Transform({
			transform: (chunk: Buffer, _encoding, done) => {
				receivedBytes += chunk.length;
				this.#options.onProgress({
					phase: "download",
					file: file.name,
					receivedBytes,
					totalBytes: file.size,
				});
				done(null, chunk);
			},
		});
		const { signal } = this.#options;
		const body = Readable.fromWeb(response.body as never);
		await pipeline(
			body,
			count,
			createWriteStream(partial, { flags: from > 0 ? "a" : "w" }),
			signal ? { signal } : {},
		);
		if (file.size !== null && receivedBytes !== file.size) {
			throw new DynError(
				"MODEL_UNAVAILABLE",
				`${file.name} has ${receivedBytes} bytes instead of ${file.size}`,
				{ retryable: receivedBytes < file.size },
			);
		}
	}

	async #get(repository: string, path: string, headers: Record<string, string>): Promise<Response> {
		const { endpoint, token, signal } = this.#options;
		const response = await fetch(endpoint + path, {
			headers: {
				...headers,
				"accept-encoding": "identity",
				...(token ? { authorization: `Bearer ${token}` } : {}),
			},
			...(signal ? { signal } : {}),
		});
		if (response.ok) return response;
		await response.body?.cancel();
		const { status } = response;
		if (status === 401 || status === 403) {
			throw new DynError(
				"MODEL_UNAVAILABLE",
				`${endpoint} refuses ${repository} (${status}): it is private, gated or misspelt; accept its licence there and set HF_TOKEN`,
				{ retryable: false },
			);
		}
		if (status === 404)
			throw new DynError(
				"MODEL_UNAVAILABLE",
				`${endpoint} has no ${repository}${path.includes("/resolve/") ? ` with ${path}` : ""}; check the spelling`,
				{ retryable: false },
			);
		const after = Number(response.headers.get("retry-after"));
		throw new DynError("MODEL_UNAVAILABLE", `${endpoint} answered ${status} for ${repository}`, {
			retryable: status === 429 || status === 416 || status >= 500,
			details: { status, retryAfterMs: after > 0 ? Math.min(after, 60) * 1000 : null },
		});
	}

	/** Repeats what failed for a passing reason. */
	async #retrying<T>(what: string, attempt: () => Promise<T>): Promise<T> {
		for (let tries = 0; ; tries++) {
			try {
				return await attempt();
			} catch (error) {
				const { signal } = this.#options;
				if (signal?.aborted) throw signal.reason;
				const code = (error as NodeJS.ErrnoException).code;
				if (code === "ENOSPC" || code === "EACCES" || code === "EROFS") throw error;
				if (DynError.is(error) && !error.retryable) throw error;
				if (tries + 1 >= ATTEMPTS) {
					const reason =
						error instanceof Error
							? ((error.cause as Error | undefined)?.message ?? error.message)
							: String(error);
					throw new DynError(
						"MODEL_UNAVAILABLE",
						`${what} could not be downloaded after ${ATTEMPTS} attempts: ${reason}; check the network and run the same command again, it goes on where it stopped`,
						{ cause: error },
					);
				}
				const asked = DynError.is(error) ? error.details["retryAfterMs"] : null;
				const own =
					this.#options.retryDelayMs?.(tries) ??
					Math.min(8000, 500 * 2 ** tries) * (0.75 + Math.random() / 4);
				await delay(typeof asked === "number" ? asked : own, undefined, signal ? { signal } : {});
			}
		}
	}
}

/** No absolute path, no step upwards: a hub cannot make us write elsewhere. */
export function isPlainPath(name: string): boolean {
	return (
		name !== "" &&
		!name.startsWith("/") &&
		!name.includes("\\") &&
		!name.includes("\0") &&
		name.split("/").every((part) => part !== "" && part !== "." && part !== "..")
	);
}
