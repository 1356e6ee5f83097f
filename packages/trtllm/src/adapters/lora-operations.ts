// SPDX-License-Identifier: Apache-2.0
// What Dynamo's workers answer when they are asked for adapters, over HTTP or as an endpoint.
import { isAbsolute } from "node:path";
import { fileURLToPath } from "node:url";
import { invalidArgument } from "@dyn/common";
import type { WorkerAdapters } from "./worker-adapters.js";

/** A worker's adapters, for whoever manages them. */
export type ManagedAdapters = Pick<WorkerAdapters, "list" | "load" | "unload">;

export type LoraAnswer = Readonly<Record<string, unknown>>;

export function listLoras(adapters: ManagedAdapters): LoraAnswer {
	const all = adapters.list();
	return {
		status: "success",
		loras: Object.fromEntries(all.map(({ name, id }) => [name, id])),
		count: all.length,
	};
}

/**
 * @param request `{lora_name, source: {uri}}`
 * @throws DynError INVALID_ARGUMENT naming the field, or as `WorkerAdapters.load`
 */
export async function loadLora(adapters: ManagedAdapters, request: unknown): Promise<LoraAnswer> {
	const { source } = (request ?? {}) as { source?: { uri?: unknown } | null };
	const name = loraName(request);
	const { adapter, known } = await adapters.load(name, folderOf(source?.uri));
	return done(adapter, `LoRA adapter ${name} ${known ? "is loaded already" : "was loaded"}`);
}

/**
 * @param request `{lora_name}`
 * @throws DynError INVALID_ARGUMENT, or as `WorkerAdapters.unload`
 */
export async function unloadLora(adapters: ManagedAdapters, request: unknown): Promise<LoraAnswer> {
	const name = loraName(request);
	return done(await adapters.unload(name), `LoRA adapter ${name} was unloaded`);
}

function loraName(request: unknown): string {
	const { lora_name: name } = (request ?? {}) as { lora_name?: unknown };
	if (typeof name === "string" && name !== "" && name.length <= 256) return name;
	throw invalidArgument("lora_name", "lora_name must be the adapter's name, 1 to 256 characters");
}

function done({ name, id }: { readonly name: string; readonly id: number }, message: string): LoraAnswer {
	return { status: "success", message, lora_name: name, lora_id: id };
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
