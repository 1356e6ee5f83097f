// SPDX-License-Identifier: Apache-2.0
// The worker of one plane in a process of its own:   node plane-driver.js <plane> <store folder> <nats url>
// A JSON line in, {"op": "cpu"}, a JSON line out, its CPU time so far; {"op": "quit"} ends it.
import { createInterface } from "node:readline";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createRuntime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { openPlane, type PlaneName } from "./plane-kinds.js";
import { ENDPOINTS, type Pace, trivialEngine } from "./plane-workload.js";

const [name, directory, nats = ""] = process.argv.slice(2);
const discovery = createFileStore({ directory: directory! });
const opened = await openPlane(name as PlaneName, nats);
const runtime = await createRuntime({ discovery, requestPlanes: opened.planes });
for (const [pace, path] of Object.entries(ENDPOINTS))
	await runtime.endpoint(path).serve(trivialEngine(pace as Pace), { codec: generateCodec });

for await (const line of createInterface({ input: process.stdin })) {
	const { op } = JSON.parse(line) as { op: string };
	if (op === "quit") break;
	const { user, system } = process.cpuUsage();
	console.log(JSON.stringify({ cpuMs: (user + system) / 1000 }));
}
await runtime.close();
await opened.close();
await discovery.close();
