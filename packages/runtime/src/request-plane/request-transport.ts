// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import type { EndpointHandler, Instance } from "../types.js";

/** Carries requests to instances. Implementations: local (this process). */
export interface RequestTransport {
	/** Makes `handler` reachable and says how. */
	register(instanceId: number, handler: EndpointHandler): Instance["transport"];
	unregister(instanceId: number): void;
	/**
	 * Calls an instance. Aborting the context or leaving the loop ends the call at the other side.
	 * @throws DynError UNAVAILABLE (retryable) at the first `next()` when the instance cannot be reached
	 */
	call(instance: Instance, request: unknown, context: RequestContext): AsyncIterable<unknown>;
}
