// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import type { EndpointHandler, Instance } from "../types.js";
import type { RequestTransport } from "./request-transport.js";

/** A call is a function call: no socket, no copy, the handler's own iterator in the caller's hands. */
export class LocalTransport implements RequestTransport {
	readonly #handlers = new Map<number, EndpointHandler>();

	register(instanceId: number, handler: EndpointHandler): Instance["transport"] {
		this.#handlers.set(instanceId, handler);
		return { kind: "local" };
	}

	unregister(instanceId: number): void {
		this.#handlers.delete(instanceId);
	}

	call(instance: Instance, request: unknown, context: RequestContext): AsyncIterable<unknown> {
		const handler = this.#handlers.get(instance.id);
		if (!handler)
			throw new DynError("UNAVAILABLE", `instance ${instance.id} is not in this process any more`);
		return handler(request, context);
	}
}
