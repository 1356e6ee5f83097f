// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createRuntime, type EndpointClient, MemoryStore } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { DriverProcess } from "./driver-process.js";
import { openPlane, type PlaneName } from "./plane-kinds.js";
import { ENDPOINTS, type Pace, trivialEngine } from "./plane-workload.js";

/** A caller in this process and a worker in another one, with one plane between them. With `local` both are here. */
export interface PlaneRig {
	readonly name: PlaneName;
	readonly clients: Readonly<Record<Pace, EndpointClient>>;
	/** CPU time of the worker's process so far, ms; 0 for `local`. */
	workerCpuMs(): Promise<number>;
	close(): Promise<void>;
}

/** @param nats URL of the server, for `nats` */
export async function startRig(name: PlaneName, nats: string): Promise<PlaneRig> {
	const directory = await mkdtemp(join(tmpdir(), "dyn-bench-plane-"));
	const discovery = name === "local" ? new MemoryStore() : createFileStore({ directory });
	const driverPath = fileURLToPath(new URL("./plane-driver.js", import.meta.url));
	// Node's own flags, such as --cpu-prof, are for both ends.
	const args = [...process.execArgv, driverPath, name, directory, nats];
	const driver = name === "local" ? null : new DriverProcess(name, process.execPath, args);
	const workerCpuMs = async () => Number((await driver?.ask({ op: "cpu" }))?.["cpuMs"] ?? 0);
	await workerCpuMs(); // answered when it serves
	const opened = await openPlane(name, nats);
	const runtime = await createRuntime({ discovery, requestPlanes: opened.planes });
	const client = async (pace: Pace) => {
		const endpoint = runtime.endpoint(ENDPOINTS[pace]);
		if (!driver) await endpoint.serve(trivialEngine(pace), { codec: generateCodec });
		return endpoint.client({ codec: generateCodec });
	};
	return {
		name,
		clients: { burst: await client("burst"), paced: await client("paced") },
		workerCpuMs,
		close: async () => {
			await runtime.close();
			await opened.close();
			await driver?.close();
			await discovery.close();
			await rm(directory, { recursive: true, force: true });
		},
	};
}
