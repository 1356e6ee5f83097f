// SPDX-License-Identifier: Apache-2.0
import type { Logger, Metrics, Tracer } from "@dyn/common";
import {
	createRuntime,
	type EventPlaneFactory,
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
	{
		logger,
		metrics,
		tracer,
	}: { readonly logger: Logger; readonly metrics: Metrics; readonly tracer: Tracer },
): Promise<Deployment> {
	const opened: { close(): Promise<void> }[] = [];
	const close = async () => {
		for (const each of opened.splice(0).reverse()) await each.close();
	};
	try {
		const store = await openStore(values, logger);
		opened.push(store);
		const usesNats = [values["requestPlane"], values["eventPlane"]].includes("nats");
		const nats = usesNats ? await openNats(values, logger) : null;
		if (nats) opened.push(nats.link);
		const runtime = await createRuntime({
			discovery: store,
			requestPlanes: await openRequestPlanes(values, nats, logger),
			eventPlane: await openEventPlane(values, nats),
			logger,
			metrics,
			tracer,
		});
		opened.push(runtime);
		return { runtime, close };
	} catch (error) {
		await close();
		throw error;
	}
}

async function openStore(values: Values, logger: Logger): Promise<KeyValueStore> {
	switch (values["discoveryBackend"] ?? "file") {
		case "etcd": {
			const { createEtcdStore } = await import("@dyn/runtime/etcd");
			const endpoints = (text(values, "etcdEndpoints") ?? "http://127.0.0.1:2379").split(",");
			return createEtcdStore({ endpoints: endpoints.map((each) => each.trim()), logger });
		}
		case "kubernetes": {
			const { createKubernetesStore, fromServiceAccount } = await import("@dyn/runtime/kubernetes");
			return createKubernetesStore({ ...(await fromServiceAccount(process.env)), logger });
		}
		case "mem":
			logger.warn("discovery is in this process only: nobody else can see it; use file or etcd for that");
			return new MemoryStore();
		default: {
			const { createFileStore } = await import("@dyn/runtime/file");
			const directory = text(values, "fileKv");
			return createFileStore({ logger, ...(directory === undefined ? {} : { directory }) });
		}
	}
}

type Nats = Awaited<ReturnType<typeof openNats>>;

async function openNats(values: Values, logger: Logger) {
	const library = await import("@dyn/runtime/nats");
	const servers = (text(values, "natsServer") ?? "nats://127.0.0.1:4222").split(",");
	return { library, link: await library.connectNats({ servers, logger }) };
}

/** The chosen plane serves; TCP and HTTP need nothing else and can always call. */
async function openRequestPlanes(
	values: Values,
	nats: Nats | null,
	logger: Logger,
): Promise<readonly RequestPlane[]> {
	const { createTcpPlane } = await import("@dyn/runtime/tcp");
	const host = text(values, "tcpHost");
	const port = values["tcpPort"] as number | undefined;
	const codec = values["requestPlaneCodec"] as "json" | "msgpack" | undefined;
	const own = { logger, ...(codec === undefined ? {} : { codec }) };
	const tcp = createTcpPlane({
		...own,
		...(host === undefined ? {} : { host }),
		...(port === undefined ? {} : { port }),
	});
	const { createHttpPlane } = await import("@dyn/runtime/http");
	const http = createHttpPlane({ ...own, ...(host === undefined ? {} : { host }) });
	if (values["requestPlane"] === "http") return [http, tcp];
	if (values["requestPlane"] !== "nats" || !nats) return [tcp, http];
	const { createNatsRequestPlane } = nats.library;
	const responseHost = host === undefined ? {} : { responseHost: host };
	return [createNatsRequestPlane({ ...own, ...responseHost, nats: nats.link }), tcp, http];
}

async function openEventPlane(values: Values, nats: Nats | null): Promise<EventPlaneFactory> {
	if (values["eventPlane"] === "nats" && nats) return nats.library.createNatsEventPlane({ nats: nats.link });
	const { createZmqEventPlane } = await import("@dyn/runtime/zmq");
	const host = text(values, "tcpHost");
	return createZmqEventPlane(host === undefined ? {} : { host });
}

function text(values: Values, name: string): string | undefined {
	return values[name] as string | undefined;
}
