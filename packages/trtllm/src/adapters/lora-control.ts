// SPDX-License-Identifier: Apache-2.0
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { DynError, ERROR_CODES, invalidArgument } from "@dyn/common";
import type { Control, ControlAnswer, ControlRequest } from "@dyn/runtime";
import type { WorkerAdapters } from "./worker-adapters.js";

const PATH = "/v1/loras";

export interface LoraControlOptions {
	/** Null while there is no worker yet. */
	readonly adapters: () => Pick<WorkerAdapters, "list" | "load" | "unload"> | null;
	/** Throws when the `Authorization` header does not allow it. Default: everybody may who reaches the port. */
	readonly authorize?: ((authorization: string | undefined) => void) | undefined;
}

/**
 * Adapters over HTTP, with the paths and bodies of Dynamo's system status server: `GET` and `POST /v1/loras`,
 * `DELETE /v1/loras/NAME`. Unlike there an error has a status of its own besides `status: "error"`. Folders are those of the
 * worker's machine.
 */
export function loraControl({ adapters, authorize }: LoraControlOptions): Control {
	return (request) => {
		const { path } = request;
		if (path !== PATH && !path.startsWith(`${PATH}/`)) return null;
		return answered(async () => {
			authorize?.(request.authorization);
			const all = adapters();
			if (!all) throw new DynError("UNAVAILABLE", "the worker is still starting; try again");
			if (path === PATH && request.method === "GET") return listed(all.list());
			if (path === PATH && request.method === "POST") return load(all, request);
			if (path !== PATH && request.method === "DELETE") return unload(all, path.slice(PATH.length + 1));
			const allowed = path === PATH ? "GET and POST" : "DELETE";
			return { status: 405, body: { status: "error", message: `${path} takes ${allowed} only` } };
		});
	};
}

function listed(adapters: ReturnType<WorkerAdapters["list"]>): ControlAnswer {
	const loras = Object.fromEntries(adapters.map(({ name, id }) => [name, id]));
	return { status: 200, body: { status: "success", loras, count: adapters.length } };
}

async function load(adapters: Pick<WorkerAdapters, "load">, request: ControlRequest): Promise<ControlAnswer> {
	const body = (await request.json()) as { lora_name?: unknown; source?: { uri?: unknown } } | null;
	const name = body?.lora_name;
	if (typeof name !== "string" || name === "" || name.length > 256)
		throw invalidArgument("lora_name", "lora_name must be the adapter's name, 1 to 256 characters");
	const { adapter, known } = await adapters.load(name, folderOf(body?.source?.uri));
	const what = known ? "is loaded already" : "was loaded";
	return done(adapter, `LoRA adapter ${name} ${what}`);
}

async function unload(adapters: Pick<WorkerAdapters, "unload">, encoded: string): Promise<ControlAnswer> {
	let name: string;
	try {
		name = decodeURIComponent(encoded);
	} catch {
		throw invalidArgument("lora_name", "the adapter's name in the path is no percent-encoded UTF-8");
	}
	return done(await adapters.unload(name), `LoRA adapter ${name} was unloaded`);
}

function done({ name, id }: { readonly name: string; readonly id: number }, message: string): ControlAnswer {
	return { status: 200, body: { status: "success", message, lora_name: name, lora_id: id } };
}

/** Of a `file://` URI or an absolute path. */
function folderOf(uri: unknown): string {
	if (typeof uri === "string" && isAbsolute(uri)) return uri;
	if (typeof uri === "string" && uri.startsWith("file://")) {
		try {
			return fileURLToPath(uri);
		} catch (cause) {
			throw invalidArgument("source.uri", `source.uri names no file: ${(cause as Error).message}`);
		}
	}
	throw invalidArgument(
		"source.uri",
		"source.uri must be the adapter's folder on the worker's machine: file:///path or an absolute path; nothing is downloaded",
	);
}

async function answered(work: () => Promise<ControlAnswer>): Promise<ControlAnswer> {
	try {
		return await work();
	} catch (error) {
		const { code, rawMessage } = DynError.from(error);
		return { status: ERROR_CODES[code].httpStatus, body: { status: "error", message: rawMessage } };
	}
}
