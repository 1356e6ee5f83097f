// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** A span as it arrived, without OTLP's wrappers. */
export interface CollectedSpan {
	readonly service: string;
	readonly name: string;
	readonly traceId: string;
	readonly spanId: string;
	/** "" for the first of a trace. */
	readonly parentSpanId: string;
	readonly traceState: string;
	/** 1 internal, 2 server. */
	readonly kind: number;
	/** 0 unset, 2 error. */
	readonly status: { readonly code?: number; readonly message?: string };
	readonly attributes: Readonly<Record<string, unknown>>;
	readonly durationMs: number;
}

type Attribute = { readonly key: string; readonly value: Record<string, unknown> };

/** A double of an OpenTelemetry collector: takes traces as OTLP in JSON on /v1/traces and keeps what they say. */
export class CollectorDouble {
	readonly spans: CollectedSpan[] = [];
	/** Paths of all requests. */
	readonly paths: string[] = [];
	/** What requests are answered with; anything but 200 keeps nothing, null answers nothing. */
	status: number | null = 200;
	readonly #server: Server;
	#onChange: () => void = () => {};

	private constructor() {
		this.#server = createServer((request, response) => {
			void this.#take(request).then(() => {
				if (this.status !== null) response.writeHead(this.status).end("{}");
			});
		});
	}

	static async start(port = 0): Promise<CollectorDouble> {
		const collector = new CollectorDouble();
		await new Promise<void>((resolve) => collector.#server.listen(port, "127.0.0.1", resolve));
		return collector;
	}

	get endpoint(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	/** Resolves when `condition` holds; asked after each request. */
	async until(condition: (collector: this) => boolean): Promise<void> {
		while (!condition(this))
			await new Promise<void>((resolve) => {
				this.#onChange = resolve;
			});
	}

	named(name: string): CollectedSpan[] {
		return this.spans.filter((span) => span.name === name);
	}

	async close(): Promise<void> {
		const closed = new Promise((resolve) => this.#server.close(resolve));
		this.#server.closeAllConnections();
		await closed;
	}

	async #take(request: IncomingMessage): Promise<void> {
		const parts: Buffer[] = [];
		for await (const part of request) parts.push(part);
		this.paths.push(request.url!);
		if (this.status === 200) this.#keep(JSON.parse(Buffer.concat(parts).toString()));
		this.#onChange();
	}

	#keep({ resourceSpans }: ReturnType<typeof JSON.parse>): void {
		for (const { resource, scopeSpans } of resourceSpans) {
			const service = String(valuesOf(resource.attributes)["service.name"]);
			for (const span of scopeSpans.flatMap((scope: { spans: unknown[] }) => scope.spans))
				this.spans.push({
					service,
					name: span.name,
					traceId: span.traceId,
					spanId: span.spanId,
					parentSpanId: span.parentSpanId ?? "",
					traceState: span.traceState ?? "",
					kind: span.kind,
					status: span.status,
					attributes: valuesOf(span.attributes),
					durationMs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
				});
		}
	}
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
	return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
