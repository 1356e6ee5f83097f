// SPDX-License-Identifier: Apache-2.0
import { DynError, ERROR_CODES, invalidArgument } from "@dyn/common";
import type { Control, ControlAnswer } from "@dyn/runtime";
import { type LoraAnswer, listLoras, loadLora, type ManagedAdapters, unloadLora } from "./lora-operations.js";

const PATH = "/v1/loras";

export interface LoraControlOptions {
	/** Null while there is no worker yet. */
	readonly adapters: () => ManagedAdapters | null;
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
		const { path, method } = request;
		if (path !== PATH && !path.startsWith(`${PATH}/`)) return null;
		return answered(async () => {
			authorize?.(request.authorization);
			const all = adapters();
			if (!all) throw new DynError("UNAVAILABLE", "the worker is still starting; try again");
			if (path === PATH && method === "GET") return listLoras(all);
			if (path === PATH && method === "POST") return loadLora(all, await request.json());
			if (path !== PATH && method === "DELETE")
				return unloadLora(all, { lora_name: decoded(path.slice(PATH.length + 1)) });
			return path === PATH ? "GET and POST" : "DELETE";
		}, path);
	};
}

function decoded(name: string): string {
	try {
		return decodeURIComponent(name);
	} catch {
		throw invalidArgument("lora_name", "the adapter's name in the path is no percent-encoded UTF-8");
	}
}

/** @param work gives an answer, or the methods that the path takes */
async function answered(work: () => Promise<LoraAnswer | string>, path: string): Promise<ControlAnswer> {
	try {
		const answer = await work();
		if (typeof answer !== "string") return { status: 200, body: answer };
		return { status: 405, body: { status: "error", message: `${path} takes ${answer} only` } };
	} catch (error) {
		const { code, rawMessage } = DynError.from(error);
		return { status: ERROR_CODES[code].httpStatus, body: { status: "error", message: rawMessage } };
	}
}
