// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Runtime, ServedEndpoint } from "@dyn/runtime";
import { type LoraAnswer, listLoras, loadLora, type ManagedAdapters, unloadLora } from "./lora-operations.js";

/** The endpoints that Dynamo's workers have beside `generate`, by name. */
const OPERATIONS: Readonly<
	Record<string, (adapters: ManagedAdapters, request: unknown) => LoraAnswer | Promise<LoraAnswer>>
> = { list_loras: listLoras, load_lora: loadLora, unload_lora: unloadLora };

/**
 * Lets peers of the deployment manage a worker's adapters: its component's endpoints `list_loras`, `load_lora` and
 * `unload_lora`, with the bodies of `/v1/loras`. An error is an answer whose `status` is "error".
 */
export async function serveLoraEndpoints(worker: {
	readonly adapters: ManagedAdapters;
	readonly runtime: Runtime;
	readonly served: Pick<ServedEndpoint, "instance">;
}): Promise<{ close(): Promise<void> }> {
	const { namespace, component } = worker.served.instance.path;
	const served: ServedEndpoint[] = [];
	const close = async () => {
		await Promise.all(served.map((each) => each.close()));
	};
	try {
		for (const [endpoint, operation] of Object.entries(OPERATIONS))
			served.push(
				await worker.runtime.endpoint({ namespace, component, endpoint }).serve(async function* (request) {
					try {
						yield await operation(worker.adapters, request);
					} catch (error) {
						yield { status: "error", message: DynError.from(error).rawMessage };
					}
				}),
			);
		return { close };
	} catch (error) {
		await close();
		throw error;
	}
}
