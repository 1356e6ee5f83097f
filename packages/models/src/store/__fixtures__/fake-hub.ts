// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** What the hub does with one request for a file instead of serving it; true when it did something. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse, bytes: Buffer) => boolean;

/** A real HTTP server that speaks the hub's two paths, with entity tags and ranges, and misbehaves on demand. */
export class FakeHub {
	readonly files: Map<string, Buffer> = new Map();
	/** Files that the list gives a checksum for. */
	readonly checksums: Map<string, string> = new Map();
	/** Consumed one per request for the file of that name. */
	readonly misbehaviours: Map<string, Misbehaviour[]> = new Map();
	/** "name" or "name bytes=5-", in order; the list is "". */
	readonly requests: string[] = [];
	readonly headers: IncomingMessage["headers"][] = [];
	commit = "c0ffee";
	/** What the list says of sizes; undefined leaves them out. */
	sizeOf: (name: string) => number | undefined = (name) => this.files.get(name)?.length;
	list: ((response: ServerResponse) => void) | null = null;
	endpoint = "";
	readonly #server: Server = createServer((request, response) => this.#answer(request, response));

	async start(): Promise<this> {
		await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
		this.endpoint = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
		return this;
	}

	close(): Promise<void> {
		const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
		this.#server.closeAllConnections();
		return closed;
	}

	drop(): void {
		this.#server.closeAllConnections();
	}

	#answer(request: IncomingMessage, response: ServerResponse): void {
		const url = new URL(request.url!, "http://hub");
		this.headers.push(request.headers);
		if (url.pathname.startsWith("/api/models/org/name/revision/")) {
			this.requests.push("");
			if (this.list) return this.list(response);
			const siblings = [...this.files.keys()].map((rfilename) => ({
				rfilename,
				size: this.sizeOf(rfilename),
				...(this.checksums.has(rfilename) ? { lfs: { sha256: this.checksums.get(rfilename) } } : {}),
			}));
			response.end(JSON.stringify({ sha: this.commit, siblings }));
			return;
		}
		const prefix = `/org/name/resolve/${this.commit}/`;
		const name = decodeURIComponent(url.pathname.slice(prefix.length));
		const bytes = this.files.get(name);
		if (!url.pathname.startsWith(prefix) || !bytes) return void response.writeHead(404).end();
		this.requests.push(`${name} ${request.headers.range ?? ""}`.trim());
		if (this.misbehaviours.get(name)?.shift()?.(request, response, bytes)) return;
		serve(request, response, bytes);
	}
}

/** As RFC 9110 wants it: a range only if the entity tag, where one is given, is still the file's. */
export function serve(request: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
	const etag = `"${sha256(bytes).slice(0, 16)}"`;
	const condition = request.headers["if-range"];
	const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
	if (from > 0 && (condition === undefined || condition === etag)) {
		if (from >= bytes.length) return void response.writeHead(416, { etag }).end();
		response.writeHead(206, {
			etag,
			"content-length": bytes.length - from,
			"content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}`,
		});
		response.end(bytes.subarray(from));
	} else {
		response.writeHead(200, { etag, "content-length": bytes.length });
		response.end(bytes);
	}
}

/** Promises the rest of the file, sends `count` bytes of it and then nothing: `drop()` ends it. */
export const stallAfter =
	(count: number): Misbehaviour =>
	(request, response, bytes) => {
		const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
		const etag = `"${sha256(bytes).slice(0, 16)}"`;
		response.writeHead(from > 0 ? 206 : 200, {
			etag,
			"content-length": bytes.length - from,
			...(from > 0 ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
		});
		response.write(bytes.subarray(from, from + count));
		return true;
	};

export const answer =
	(status: number, headers: Record<string, string> = {}, body = ""): Misbehaviour =>
	(_request, response) => {
		response.writeHead(status, headers).end(body);
		return true;
	};
