// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, type Metrics } from "@dyn/common";
import {
	createRuntime,
	type KeyValueStore,
	MemoryStore,
	type RequestPlane,
	type Runtime,
} from "@dyn/runtime";
import type { Values } from "./assemble.js";

/** This process's place in a deployment. */
export interface Deployment {
	readonly runtime: Runtime;
	/** Closes the runtime, then what it stood on. */
	close(): Promise<void>;
}

/** Opens discovery and planes as the options say. Each is loaded only when it is chosen. */
export async function joinDeployment(
	values: Values,
	{ logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics },
): Promise<Deployment> {
	const store = await openStore(values, logger);
	try {
		const runtime = await createRuntime({
			discovery: store,
			requestPlanes: [await openRequestPlane(values, logger)],
			logger,
			metrics,
		});
		return {
			runtime,
			close: async () => {
				await runtime.close();
				await store.close();
			},
		};
	} catch (error) {
		await store.close();
		throw error;
	}
}

async function openStore(values: Values, logger: Logger): Promise<KeyValueStore> {
	const backend = (values["discoveryBackend"] as string | undefined) ?? "file";
	switch (backend) {
		case "mem":
			logger.warn("discovery is in this process only: nobody else can see it; use file or etcd for that");
			return new MemoryStore();
		case "file": {
			const { createFileStore } = await import("@dyn/runtime/file");
			const directory = values["fileKv"] as string | undefined;
			return createFileStore({ logger, ...(directory === undefined ? {} : { directory }) });
		}
		case "etcd": {
			const { createEtcdStore } = await import("@dyn/runtime/etcd");
			const endpoints = ((values["etcdEndpoints"] as string | undefined) ?? "http://127.0.0.1:2379")
				.split(",")
				.map((each) => each.trim());
			return createEtcdStore({ endpoints, logger });
		}
		default:
			throw new DynError("UNIMPLEMENTED", `discovery backend ${backend} is not available; use file or etcd`);
	}
}

async function openRequestPlane(values: Values, logger: Logger): Promise<RequestPlane> {
	const plane = (values["requestPlane"] as string | undefined) ?? "tcp";
	if (plane !== "tcp")
		throw new DynError("UNIMPLEMENTED", `request plane ${plane} is not available; use tcp`);
	const { createTcpPlane } = await import("@dyn/runtime/tcp");
	const host = values["tcpHost"] as string | undefined;
	const port = values["tcpPort"] as number | undefined;
	const codec = values["requestPlaneCodec"] as "json" | "msgpack" | undefined;
	return createTcpPlane({
		logger,
		...(host === undefined ? {} : { host }),
		...(port === undefined ? {} : { port }),
		...(codec === undefined ? {} : { codec }),
	});
}
