// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from "node:http";
import { stringifyJson } from "@dyn/protocols/json";
import { type Json, KINDS, type Resource } from "./kinds.js";
import type { Change } from "./object-store.js";
import { type Call, Refusal } from "./protocol.js";

/** One watch: a line of JSON per event, until somebody ends it. */
export class WatchStream {
	readonly #call: Call;
	readonly #response: ServerResponse;
	readonly #selects: (resource: Resource) => boolean;

	constructor(call: Call, response: ServerResponse, selects: (resource: Resource) => boolean) {
		this.#call = call;
		this.#response = response;
		this.#selects = selects;
		response.writeHead(200, { "content-type": "application/json" });
		response.flushHeaders();
	}

	/** A resource whose labels do not match any more is deleted for this watch. */
	tell({ plural, before, after, version }: Change): void {
		const resource = after ?? before!;
		if (plural !== this.#call.plural || resource.metadata.namespace !== this.#call.namespace) return;
		const was = before !== null && this.#selects(before);
		const is = after !== null && this.#selects(after);
		if (is) this.#write(was ? "MODIFIED" : "ADDED", after);
		else if (was)
			this.#write("DELETED", {
				...before,
				metadata: { ...before.metadata, resourceVersion: String(version) },
			});
	}

	bookmark(version: number): void {
		const { apiVersion, kind } = KINDS[this.#call.plural]!;
		if (this.#call.query.get("allowWatchBookmarks") === "true")
			this.#write("BOOKMARK", { apiVersion, kind, metadata: { resourceVersion: String(version) } });
	}

	gone(message: string): void {
		this.#write("ERROR", new Refusal(410, message).document());
		this.end();
	}

	garbage(): void {
		this.#response.write('{"type":\n');
	}

	end(): void {
		this.#response.end();
	}

	#write(type: string, object: Json): void {
		this.#response.write(`${stringifyJson({ type, object })}\n`);
	}
}
