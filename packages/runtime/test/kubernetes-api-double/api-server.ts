// SPDX-License-Identifier: Apache-2.0
import {
	createServer,
	type IncomingMessage,
	type RequestListener,
	type Server,
	type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type Json, KINDS, type Resource } from "./kinds.js";
import { ObjectStore } from "./object-store.js";
import { answer, type Call, Refusal, refuse } from "./protocol.js";
import { WatchStream } from "./watch-stream.js";
import { applyPatch, deleteResource } from "./writes.js";

export interface ServedRequest {
	readonly method: string;
	/** Of the path: the plural name. */
	readonly plural: string;
	readonly watch: boolean;
	readonly status: number;
}

/**
 * A stand-in for the Kubernetes API server: the paths, checks and answers that discovery meets, held to the API's rules
 * (https://kubernetes.io/docs/reference/using-api/api-concepts/). It refuses what the real one refuses.
 */
export class KubernetesApiDouble {
	readonly objects: ObjectStore = new ObjectStore();
	/** The only one that is accepted. */
	token = "first-token";
	/** Whether Dynamo's custom resource definition is installed. */
	definitionInstalled = true;
	/** How a watch from a forgotten version is told so; the API server does either. */
	goneAs: "event" | "status" = "event";
	/** When set, every request is answered with this status. */
	refusing: number | null = null;
	/** What each manager applied last, by object. */
	readonly applied: Map<string, Json> = new Map();
	readonly #server: Server;
	readonly #scheme: "http" | "https";
	readonly #sockets = new Set<Socket>();
	readonly #watches = new Set<WatchStream>();
	readonly #waiting = new Set<(request: ServedRequest) => void>();
	#port = 0;

	/** @param tls serves https with this certificate; default http */
	constructor(tls?: { readonly cert: string; readonly key: string }) {
		const listener: RequestListener = (request, response) => void this.#serve(request, response);
		this.#server = tls ? createTlsServer(tls, listener) : createServer(listener);
		this.#scheme = tls ? "https" : "http";
		this.#server.on("connection", (socket: Socket) => {
			this.#sockets.add(socket);
			socket.on("close", () => this.#sockets.delete(socket));
		});
	}

	get url(): string {
		return `${this.#scheme}://127.0.0.1:${this.#port}`;
	}

	/** Watches that are open now. */
	get watches(): number {
		return this.#watches.size;
	}

	/** On the port that it had before. */
	async start(): Promise<void> {
		await new Promise<void>((resolve, reject) => {
			this.#server.once("error", reject);
			this.#server.listen(this.#port, "127.0.0.1", () => {
				this.#server.off("error", reject);
				resolve();
			});
		});
		this.#port = (this.#server.address() as AddressInfo).port;
	}

	/** Goes away in the middle of everything. */
	async stop(): Promise<void> {
		const closed = new Promise((resolve) => this.#server.close(resolve));
		this.cutConnections();
		await closed;
	}

	cutConnections(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	/** Ends every watch in order, as the server does after `timeoutSeconds`. */
	endWatches(): void {
		for (const watch of [...this.#watches]) watch.end();
	}

	/** A line that is no event. */
	sendGarbage(): void {
		for (const watch of this.#watches) watch.garbage();
	}

	sendBookmarks(): void {
		for (const watch of this.#watches) watch.bookmark(this.objects.version);
	}

	/** Resolves when a request of this kind has been answered, or a watch accepted. */
	served(wanted: Partial<ServedRequest>): Promise<void> {
		return new Promise((resolve) => {
			const listener = (request: ServedRequest) => {
				const { method, plural, watch, status } = { ...request, ...wanted };
				if (method !== request.method || plural !== request.plural) return;
				if (watch !== request.watch || status !== request.status) return;
				this.#waiting.delete(listener);
				resolve();
			};
			this.#waiting.add(listener);
		});
	}

	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const url = new URL(request.url!, this.url);
		const match = /^(\/apis?\/[^/]+(?:\/[^/]+)?)\/namespaces\/([^/]+)\/([^/]+)(?:\/([^/]+))?$/.exec(
			url.pathname,
		);
		const [, api = "", namespace = "", plural = "", name = null] = match ?? [];
		const call: Call = { method: request.method!, plural, namespace, name, query: url.searchParams };
		// A watch is told when it is accepted.
		response.once("finish", () => {
			if (url.searchParams.get("watch") !== "1" || response.statusCode !== 200)
				this.#told(call, response.statusCode);
		});
		try {
			if (this.refusing !== null) refuse(this.refusing, "the double refuses everything now");
			if (request.headers.authorization !== `Bearer ${this.token}`) refuse(401, "Unauthorized");
			const kind = KINDS[plural];
			const known = plural !== "dynamoworkermetadatas" || this.definitionInstalled;
			if (kind?.api !== api || !known) {
				response.writeHead(404, { "content-type": "text/plain" }).end("404 page not found\n");
				return;
			}
			await this.#answer(call, request, response);
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			answer(response, error.status, error.document());
		}
	}

	async #answer(call: Call, request: IncomingMessage, response: ServerResponse): Promise<void> {
		const { method, name, query } = call;
		if (method === "GET" && name === null && query.get("watch") === "1") this.#watch(call, response);
		else if (method === "GET" && name === null) answer(response, 200, this.#list(call));
		else if (method === "PATCH" && name !== null)
			answer(response, 200, applyPatch(this, call, request.headers["content-type"], await bodyOf(request)));
		else if (method === "DELETE" && name !== null) {
			const body = await bodyOf(request);
			answer(response, 200, deleteResource(this, call, body === "" ? {} : (JSON.parse(body) as Json)));
		} else refuse(405, "the server does not allow this method on the requested resource");
	}

	#list({ plural, namespace, query }: Call): Json {
		const { apiVersion, kind } = KINDS[plural]!;
		const selected = this.objects.list(plural, namespace).filter((resource) => matches(resource, query));
		const limit = Number(query.get("limit") ?? selected.length);
		const from = Number(query.get("continue") ?? 0);
		const more = from + limit < selected.length;
		return {
			apiVersion,
			kind: `${kind}List`,
			metadata: {
				resourceVersion: String(this.objects.version),
				...(more ? { continue: String(from + limit) } : {}),
			},
			// Go writes an empty list as null in some versions.
			items: selected.length === 0 ? null : selected.slice(from, from + limit),
		};
	}

	#watch(call: Call, response: ServerResponse): void {
		const version = Number(call.query.get("resourceVersion"));
		if (version > this.objects.version) refuse(504, `Too large resource version: ${version}`);
		const forgotten = version < this.objects.oldest;
		if (forgotten && this.goneAs === "status") refuse(410, `too old resource version: ${version}`);
		const watch = new WatchStream(call, response, (resource) => matches(resource, call.query));
		this.#watches.add(watch);
		response.once("close", () => this.#watches.delete(watch));
		if (forgotten) watch.gone(`too old resource version: ${version} (${this.objects.oldest})`);
		else
			response.once(
				"close",
				this.objects.follow(version, (change) => watch.tell(change)),
			);
		this.#told(call, 200);
	}

	#told({ method, plural, query }: Call, status: number): void {
		const watch = query.get("watch") === "1";
		for (const listener of [...this.#waiting]) listener({ method, plural, watch, status });
	}
}

function matches(resource: Resource, query: URLSearchParams): boolean {
	const selector = query.get("labelSelector");
	return (selector ?? "")
		.split(",")
		.filter(Boolean)
		.every((term) => {
			const [label = "", value] = term.split("=");
			return resource.metadata.labels?.[label] === value;
		});
}

async function bodyOf(request: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
	return Buffer.concat(chunks).toString("utf8");
}
