// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { DynError, type Logger, type Metrics, type Tracer } from "@dyn/common";
import {
	createRuntime,
	type EventPlaneFactory,
	type KeyValueStore,
	MemoryStore,
	type RequestPlane,
	type Runtime,
} from "@dyn/runtime";
import type { EtcdStoreOptions, EtcdTls } from "@dyn/runtime/etcd";
import type { NatsAuth, NatsTls } from "@dyn/runtime/nats";
import type { TcpPlaneOptions } from "@dyn/runtime/tcp";
import type { Values } from "./values.js";

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
			requestPlanes: await openRequestPlanes(values, nats, { logger, metrics }),
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

/** Discovery as the options say. */
export async function openStore(values: Values, logger: Logger): Promise<KeyValueStore> {
	switch (values["discoveryBackend"] ?? "file") {
		case "etcd": {
			const { createEtcdStore } = await import("@dyn/runtime/etcd");
			const endpoints = (text(values, "etcdEndpoints") ?? "http://127.0.0.1:2379").split(",");
			const leaseTtlSeconds = values["etcdLeaseTtl"] as number | undefined;
			return createEtcdStore({
				endpoints: endpoints.map((each) => each.trim()),
				logger,
				...(leaseTtlSeconds === undefined ? {} : { leaseTtlSeconds }),
				...etcdAuth(values),
				...(await etcdTls(values)),
			});
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

function etcdAuth(values: Values): Pick<EtcdStoreOptions, "auth"> {
	const username = text(values, "etcdUsername");
	const password = text(values, "etcdPassword");
	return username === undefined && password === undefined
		? {}
		: { auth: { username: username ?? "", password: password ?? "" } };
}

async function etcdTls(values: Values): Promise<Pick<EtcdStoreOptions, "tls">> {
	const tls: EtcdTls = {
		...(await pem(values, "etcdCa", "ca")),
		...(await pem(values, "etcdCert", "cert")),
		...(await pem(values, "etcdKey", "key")),
	};
	return Object.keys(tls).length > 0 ? { tls } : {};
}

/** What puts the tcp and the http plane under TLS. */
async function planeTls(values: Values): Promise<Pick<TcpPlaneOptions, "tls">> {
	if (values["tlsCert"] === undefined && values["tlsKey"] === undefined) return {};
	const serverName = text(values, "tlsServerName");
	return {
		tls: {
			cert: "",
			key: "",
			...(await pem(values, "tlsCert", "cert")),
			...(await pem(values, "tlsKey", "key")),
			...(await pem(values, "tlsCa", "ca")),
			...(serverName === undefined ? {} : { serverName }),
			insecure: values["tlsInsecure"] === true,
		},
	};
}

/** What is in the file that an option names, as a property; nothing when the option is not given. */
async function pem(values: Values, option: string, property: string): Promise<Record<string, string>> {
	const path = text(values, option);
	if (path === undefined) return {};
	const content = await readFile(path, "utf8").catch((cause) => {
		throw new DynError("INVALID_ARGUMENT", `${path} cannot be read: ${cause.message}; give a PEM file`, {
			cause,
		});
	});
	return { [property]: content };
}

/** In Dynamo's order: user and password, token, nkey, credentials file. */
function natsAuth(values: Values): { auth?: NatsAuth } {
	const user = text(values, "natsUsername");
	const token = text(values, "natsToken");
	const nkey = text(values, "natsNkey");
	const credentialsFile = text(values, "natsCredentials");
	if (user !== undefined) return { auth: { user, password: text(values, "natsPassword") ?? "" } };
	if (token !== undefined) return { auth: { token } };
	if (nkey !== undefined) return { auth: { nkey } };
	return credentialsFile === undefined ? {} : { auth: { credentialsFile } };
}

async function natsTls(values: Values): Promise<{ tls?: NatsTls }> {
	const tls: NatsTls = {
		...(await pem(values, "natsTlsCa", "ca")),
		...(await pem(values, "natsTlsCert", "cert")),
		...(await pem(values, "natsTlsKey", "key")),
		...(values["natsTlsInsecure"] === true ? { insecure: true } : {}),
	};
	return Object.keys(tls).length > 0 ? { tls } : {};
}

type Nats = Awaited<ReturnType<typeof openNats>>;

async function openNats(values: Values, logger: Logger) {
	const library = await import("@dyn/runtime/nats");
	const servers = (text(values, "natsServer") ?? "nats://127.0.0.1:4222").split(",");
	const tls = await natsTls(values);
	return { library, link: await library.connectNats({ servers, logger, ...natsAuth(values), ...tls }) };
}

/** The chosen plane serves; TCP and HTTP need nothing else and can always call. */
async function openRequestPlanes(
	values: Values,
	nats: Nats | null,
	{ logger, metrics }: { readonly logger: Logger; readonly metrics: Metrics },
): Promise<readonly RequestPlane[]> {
	const { createTcpPlane } = await import("@dyn/runtime/tcp");
	const host = text(values, "tcpHost");
	const port = values["tcpPort"] as number | undefined;
	const codec = values["requestPlaneCodec"] as "json" | "msgpack" | undefined;
	const own = { logger, ...(codec === undefined ? {} : { codec }) };
	const tls = await planeTls(values);
	const tcp = createTcpPlane({
		...own,
		metrics,
		...tls,
		...(host === undefined ? {} : { host }),
		...(port === undefined ? {} : { port }),
	});
	const { createHttpPlane } = await import("@dyn/runtime/http");
	const http = createHttpPlane({ ...own, ...tls, ...(host === undefined ? {} : { host }) });
	if (values["requestPlane"] === "http") return [http, tcp];
	if (values["requestPlane"] !== "nats" || !nats) return [tcp, http];
	const { createNatsRequestPlane } = nats.library;
	const responseHost = host === undefined ? {} : { responseHost: host };
	return [createNatsRequestPlane({ ...own, ...tls, ...responseHost, nats: nats.link }), tcp, http];
}

async function openEventPlane(values: Values, nats: Nats | null): Promise<EventPlaneFactory> {
	if (values["eventPlane"] === "nats" && nats) return nats.library.createNatsEventPlane({ nats: nats.link });
	const { createZmqEventPlane, parseZmqBrokerUrl } = await import("@dyn/runtime/zmq");
	const host = text(values, "tcpHost");
	const url = text(values, "zmqBrokerUrl");
	const broker =
		url !== undefined ? parseZmqBrokerUrl(url) : values["zmqBrokerEnabled"] === true ? "discover" : undefined;
	return createZmqEventPlane({
		...(host === undefined ? {} : { host }),
		...(broker === undefined ? {} : { broker }),
	});
}

function text(values: Values, name: string): string | undefined {
	return values[name] as string | undefined;
}
