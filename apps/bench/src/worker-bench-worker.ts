// SPDX-License-Identifier: Apache-2.0
// The worker that is measured:   node worker-bench-worker.js <store folder> <component> [<address of the double>]
// Without an address its engine is in its own process. {"op": "cpu"} is answered with what it has used so far.
import { createInterface } from "node:readline";
import type { ModelStore } from "@dyn/models/store";
import { createOpenEngineEngine } from "@dyn/openengine";
import { createRuntime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { createTrtllmWorker } from "@dyn/trtllm";
import { BatchEngine } from "./worker-bench-engine.js";
import { ownUsage } from "./worker-bench-usage.js";

/** Nothing is read of the model: no client needs its tokenizer here. */
const noModel: ModelStore = {
	directory: "/",
	list: async () => [],
	remove: async () => {},
	resolve: async (id) => ({ id, path: "/", source: "store", bytes: 0 }),
};

const [directory, component, address] = process.argv.slice(2) as [string, string, string | undefined];
const discovery = createFileStore({ directory });
const runtime = await createRuntime({ discovery, requestPlanes: [createTcpPlane()] });
const worker = await createTrtllmWorker({
	runtime,
	component,
	servedModelName: "double",
	modelStore: noModel,
	engine: address === undefined ? new BatchEngine() : createOpenEngineEngine({ endpoint: address }),
});
for await (const line of createInterface({ input: process.stdin })) {
	const { op } = JSON.parse(line) as { op: string };
	if (op === "quit") break;
	console.log(JSON.stringify(ownUsage()));
}
await worker.close();
await runtime.close();
await discovery.close();
