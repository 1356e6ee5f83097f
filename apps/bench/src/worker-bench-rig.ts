// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createOpenEngineEngine } from "@dyn/openengine";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createRuntime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { DriverProcess } from "./driver-process.js";
import type { Source } from "./worker-bench-load.js";

/** How an answer comes: through the worker before the double, through a worker with its engine inside, or from the double. */
export const ROUTES = ["openengine", "in-process", "direct"] as const;
export type RouteName = (typeof ROUTES)[number];

export interface Route {
	readonly name: RouteName;
	readonly source: Source;
	/** The worker on the way; null for `direct`. */
	readonly worker: DriverProcess | null;
}

/** The double, two workers, each in a process of its own, and their client in this one. */
export interface WorkerRig {
	readonly routes: readonly Route[];
	readonly double: DriverProcess;
	close(): Promise<void>;
}

export async function startWorkerRig(): Promise<WorkerRig> {
	const directory = await mkdtemp(join(tmpdir(), "dyn-bench-worker-"));
	const double = start("double", "worker-bench-double.js", []);
	const address = String((await double.ask({ op: "info" }))["address"]);
	const workers = {
		openengine: start("openengine", "worker-bench-worker.js", [directory, "openengine", address]),
		"in-process": start("in-process", "worker-bench-worker.js", [directory, "in-process"]),
	};
	for (const worker of Object.values(workers)) await worker.ask({ op: "cpu" }); // answered when it serves
	const discovery = createFileStore({ directory });
	const runtime = await createRuntime({ discovery, requestPlanes: [createTcpPlane()] });
	const engine = createOpenEngineEngine({ endpoint: address });
	await engine.start();
	const routes = ROUTES.map((name): Route => {
		if (name === "direct")
			return { name, source: (request, context) => engine.generate(request, context), worker: null };
		const client = runtime.endpoint(`dynamo.${name}.generate`).client({ codec: generateCodec });
		return { name, source: (request, context) => client.generate(request, context), worker: workers[name] };
	});
	return {
		routes,
		double,
		close: async () => {
			await engine.close();
			await runtime.close();
			await Promise.all(Object.values(workers).map((worker) => worker.close()));
			await double.close();
			await discovery.close();
			await rm(directory, { recursive: true, force: true });
		},
	};
}

/** Node's own flags, such as --cpu-prof, are for all. */
function start(name: string, file: string, args: readonly string[]): DriverProcess {
	const path = fileURLToPath(new URL(`./${file}`, import.meta.url));
	return new DriverProcess(name, process.execPath, [...process.execArgv, path, ...args]);
}
