// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import { createApiKeyCheck } from "@dyn/frontend";
import type { Control } from "@dyn/runtime";
import { loraControl, type TrtllmWorker } from "@dyn/trtllm";
import type { Values } from "./values.js";

/**
 * `/v1/loras` of a worker, where `--enable-lora` allows it: on the operator's port, never on that of clients, because it reads
 * whatever folder it is told. It asks for the API keys that clients need, if there are any.
 * @throws DynError INVALID_ARGUMENT without a port to serve it on
 */
export function loraControlOf(values: Values, worker: () => TrtllmWorker | null): Control | undefined {
	if (values["enableLora"] !== true) return undefined;
	if (((values["systemPort"] as number | undefined) ?? -1) < 0)
		throw invalidArgument("--enable-lora", "--enable-lora needs a --system-port, where /v1/loras is served");
	return loraControl({
		adapters: () => worker()?.adapters ?? null,
		authorize: createApiKeyCheck((values["apiKeys"] as readonly string[] | undefined) ?? []),
	});
}
