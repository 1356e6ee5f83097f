// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { isPlainPath } from "./plain-path.js";
import type { OnProgress } from "./progress.js";
import { type RetryOptions, retryAfterMs, retrying } from "./retry.js";

export interface HubOptions extends RetryOptions {
	/** For example "https://huggingface.co". */
	readonly endpoint: string;
	readonly token?: string | undefined;
	readonly onProgress: OnProgress;
}

export interface HubFile {
	readonly name: string;
	/** Bytes. */
	readonly size: number | null;
	/** Lower-case hex, when the hub knows it. */
	readonly sha256: string | null;
}

/** Statuses that a later try may turn into another one. */
const PASSING = new Set([408, 416, 425, 429]);

/** Commit and files of a repository. Files with names that lead elsewhere are left out. */
export async function listRepository(
	repository: string,
	revision: string,
	options: HubOptions,
): Promise<{ readonly commit: string; readonly files: readonly HubFile[] }> {
	const path = `/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
	const body = await retrying(
		repository,
		async () => (await hubRequest(repository, path, {}, options)).text(),
		options,
	);
	const { sha, siblings } = parseObject(body);
	if (typeof sha !== "string" || sha.includes("/") || !isPlainPath(sha) || !Array.isArray(siblings))
		throw new DynError(
			"MODEL_UNAVAILABLE",
			`${options.endpoint} gave no file list for ${repository}; is it a Hugging Face hub? Check HF_ENDPOINT`,
		);
	return { commit: sha, files: siblings.flatMap(hubFile) };
}

/**
 * A successful answer of the hub.
 * @throws DynError MODEL_UNAVAILABLE, retryable for a passing reason, else with what to do
 */
export async function hubRequest(
	repository: string,
	path: string,
	headers: Readonly<Record<string, string>>,
	{ endpoint, token, signal }: HubOptions,
): Promise<Response> {
	const response = await fetch(endpoint.replace(/\/+$/, "") + path, {
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
	const refuse = (message: string) =>
		new DynError("MODEL_UNAVAILABLE", message, { retryable: false, details: { status } });
	if (status === 401 || status === 403)
		throw refuse(
			`${endpoint} refuses ${repository} (${status}): it is private, gated or misspelt; accept its licence there and set HF_TOKEN`,
		);
	if (status === 404)
		throw refuse(
			`${endpoint} has no ${repository}${path.includes("/resolve/") ? ` with ${path}` : ""}; check the spelling`,
		);
	throw new DynError("MODEL_UNAVAILABLE", `${endpoint} answered ${status} for ${repository}`, {
		retryable: PASSING.has(status) || status >= 500,
		details: { status, retryAfterMs: retryAfterMs(response.headers.get("retry-after")) },
	});
}

function hubFile(sibling: unknown): HubFile[] {
	const { rfilename: name, size, lfs } = (sibling ?? {}) as Record<string, unknown>;
	if (typeof name !== "string" || !isPlainPath(name)) return [];
	const sha256 = (lfs as { sha256?: unknown } | null | undefined)?.sha256;
	return [
		{
			name,
			size: typeof size === "number" ? size : null,
			sha256: typeof sha256 === "string" ? sha256.toLowerCase() : null,
		},
	];
}

function parseObject(text: string): Record<string, unknown> {
	try {
		return (JSON.parse(text) ?? {}) as Record<string, unknown>;
	} catch {
		return {}; // a proxy's or a portal's page
	}
}
