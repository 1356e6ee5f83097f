// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { DynError, linkSignals } from "@dyn/common";
import { parseJson } from "@dyn/protocols/json";
import { apiError, unreachable, unreadable } from "./api-error.js";
import { isObject, type JsonObject, objectIn } from "./json-object.js";
import { lines, wholeText } from "./response-text.js";

const ANSWER_WITHIN_MS = 10_000;
const CALL_WITHIN_MS = 30_000;
/** The server ends a watch after this time; it is then resumed. One that the server should have ended is broken. */
const WATCH_FOR_S = 300;
const WATCH_WITHIN_MS = (WATCH_FOR_S + 30) * 1000;
/** Finds a peer that vanished without a word, on a connection on which nothing is due. */
const KEEP_ALIVE_MS = 10_000;
const MAX_ANSWER_BYTES = 256 << 20;
/** etcd keeps no object beyond 1.5 MiB; its JSON with escapes and managed fields is less than this. */
const MAX_EVENT_BYTES = 16 << 20;

export interface ApiClientOptions {
	/** `https://host:port` */
	readonly apiServer: string;
	/** Read for every call: Kubernetes replaces the token in place. */
	readonly tokenFile?: string;
	/** PEM certificates that the server's is checked with, read for every call. Default: those of Node. */
	readonly caFile?: string;
}

export interface WatchEvent {
	readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK";
	readonly object: JsonObject;
}

type Query = Readonly<Record<string, string>>;

/** The part of the Kubernetes API that discovery needs. Each call has its own connection: they are rare. */
export class ApiClient {
	readonly #options: ApiClientOptions;
	readonly #closing = new AbortController();

	constructor(options: ApiClientOptions) {
		this.#options = options;
	}

	/**
	 * @param query appended to `path`
	 * @throws DynError UNAVAILABLE; `details.status` is the HTTP status when the server answered
	 */
	async call(
		method: "GET" | "PATCH" | "DELETE",
		path: string,
		{ query = {}, body }: { readonly query?: Query; readonly body?: ApiBody } = {},
	): Promise<JsonObject> {
		const { response, signal, done } = await this.#open(method, path, query, body, CALL_WITHIN_MS);
		try {
			const answer = parseJson(await wholeText(response, MAX_ANSWER_BYTES));
			if (!isObject(answer)) throw new SyntaxError("it is no JSON object");
			return answer;
		} catch (error) {
			throw unreadable(this.#options.apiServer, signal.aborted ? signal.reason : error);
		} finally {
			done();
		}
	}

	/**
	 * Resolves when the server has accepted the watch; what it then tells ends with the connection or `close`.
	 * @throws DynError UNAVAILABLE, from the iteration too; `details.status` 410 when `resourceVersion` is forgotten
	 */
	async watch(path: string, query: Query, resourceVersion: string): Promise<AsyncIterable<WatchEvent>> {
		const opened = await this.#open(
			"GET",
			path,
			{
				...query,
				watch: "1",
				allowWatchBookmarks: "true",
				resourceVersion,
				timeoutSeconds: String(WATCH_FOR_S),
			},
			undefined,
			WATCH_WITHIN_MS,
		);
		return this.#events(opened);
	}

	/** Ends every call and watch. */
	close(): void {
		this.#closing.abort(new DynError("UNAVAILABLE", "the discovery store is closed"));
	}

	async *#events({ response, signal, done }: Opened): AsyncGenerator<WatchEvent, void> {
		try {
			for await (const line of lines(response, MAX_EVENT_BYTES)) {
				const event = objectIn(parseJson(line));
				const object = objectIn(event["object"]);
				if (event["type"] === "ERROR")
					throw apiError("GET", "watch", Number(object["code"]), object["message"]);
				yield { type: event["type"] as WatchEvent["type"], object };
			}
		} catch (error) {
			throw unreadable(this.#options.apiServer, signal.aborted ? signal.reason : error);
		} finally {
			response.destroy();
			done();
		}
	}

	/** Sends a request; resolves with the head of an answer whose status says success. */
	async #open(
		method: string,
		path: string,
		query: Query,
		body: ApiBody | undefined,
		limitMs: number,
	): Promise<Opened> {
		const { apiServer, tokenFile, caFile } = this.#options;
		const { signal, unlink } = linkSignals(this.#closing.signal, AbortSignal.timeout(limitMs));
		try {
			const url = new URL(apiServer.replace(/\/$/, "") + path);
			for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
			const headers = {
				accept: "application/json",
				...(tokenFile === undefined ? {} : { authorization: `Bearer ${(await read(tokenFile)).trim()}` }),
				...(body === undefined
					? {}
					: {
							"content-type": body.type,
							// Node sends a DELETE's body without it, and the server takes it for the next request.
							"content-length": Buffer.byteLength(body.text),
						}),
			};
			const ca = caFile === undefined ? {} : { ca: await read(caFile) };
			const response = await new Promise<IncomingMessage>((resolve, reject) => {
				const send = url.protocol === "http:" ? requestHttp : requestHttps;
				const request = send(url, { method, headers, signal, agent: false, ...ca }, resolve);
				const late = setTimeout(
					() => request.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`)),
					ANSWER_WITHIN_MS,
				).unref();
				request.once("response", () => clearTimeout(late)).once("close", () => clearTimeout(late));
				request.once("socket", (socket) => socket.setKeepAlive(true, KEEP_ALIVE_MS));
				request.on("error", reject);
				request.end(body?.text);
			});
			const status = response.statusCode ?? 0;
			if (status < 200 || status > 299)
				throw apiError(method, path, status, await wholeText(response, MAX_ANSWER_BYTES));
			return { response, signal, done: unlink };
		} catch (error) {
			unlink();
			throw unreachable(apiServer, signal.aborted ? signal.reason : error);
		}
	}
}

/** An answer of which the head has come. */
interface Opened {
	readonly response: IncomingMessage;
	/** Aborts when the rest does not come in time, or the client closes. */
	readonly signal: AbortSignal;
	/** To be called when it has been read. */
	done(): void;
}

export interface ApiBody {
	readonly type: string;
	readonly text: string;
}

async function read(file: string): Promise<string> {
	return readFile(file, "utf8").catch((cause: unknown) => {
		throw new DynError("UNAVAILABLE", `cannot read ${file}: mount the service account's volume there`, {
			cause,
		});
	});
}
