// SPDX-License-Identifier: Apache-2.0
// An OpenEngine server without a model:   node worker-bench-double.js
// {"op": "info"} is answered with its address, {"op": "cpu"} with its CPU time so far; {"op": "quit"} ends it.
import { createInterface } from "node:readline";
import { createOpenEngineServer, engineService } from "@dyn/openengine";
import { BATCH_ENGINE_INFO, BatchEngine } from "./worker-bench-engine.js";
import { ownUsage } from "./worker-bench-usage.js";

const service = engineService(new BatchEngine(), { info: BATCH_ENGINE_INFO });
const server = await createOpenEngineServer({ service });
for await (const line of createInterface({ input: process.stdin })) {
	const { op } = JSON.parse(line) as { op: string };
	if (op === "quit") break;
	console.log(JSON.stringify(op === "info" ? { address: server.address } : ownUsage()));
}
await server.close();
