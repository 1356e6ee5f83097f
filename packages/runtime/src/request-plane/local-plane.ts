// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import { formatEndpointPath } from "../component/endpoint-path.js";
import type { EndpointHandler, Instance } from "../types.js";
import type { Reachability, RequestPlane, ServedTarget } from "./request-plane.js";

/** A call is a function call: no socket, no copy, the handler's own iterator in the caller's hands. */
export class LocalPlane implements RequestPlane {
	readonly kind = "local";
	readonly #handlers = new Map<string, EndpointHandler>();

	async register(target: ServedTarget): Promise<Reachability> {
		this.#handlers.set(keyOf(target), target.handler);
		return { transport: { kind: "local" }, requestCodec: null, multiplexed: false };
	}

	unregister(target: Pick<ServedTarget, "id" | "path">): void {
		this.#handlers.delete(keyOf(target));
	}

	/** Whether an instance is served in this process, whatever else it is reachable by. */
	has(instance: Pick<Instance, "id" | "path">): boolean {
		return this.#handlers.has(keyOf(instance));
	}

	call(instance: Instance, request: unknown, context: RequestContext): AsyncIterable<unknown> {
		const handler = this.#handlers.get(keyOf(instance));
		if (!handler)
			throw new DynError("UNAVAILABLE", `instance ${instance.id} is not in this process any more`);
		return handler(request, context);
	}

	async close(): Promise<void> {
		this.#handlers.clear();
	}
}

function keyOf({ id, path }: Pick<Instance, "id" | "path">): string {
	return `${formatEndpointPath(path)}/${id}`;
}
