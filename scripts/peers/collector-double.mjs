// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:http";

/**
 * A span as it arrived, without OTLP's wrappers.
 * @typedef {object} CollectedSpan
 * @property {string} service
 * @property {string} name
 * @property {string} traceId
 * @property {string} spanId
 * @property {string} parentSpanId "" for the first of a trace
 * @property {string} traceState
 * @property {number} kind 1 internal, 2 server
 * @property {{ code?: number, message?: string }} status code 0 unset, 2 error
 * @property {Record<string, unknown>} attributes
 * @property {{ traceId: string, spanId: string }[]} links
 * @property {{ name: string, attributes: Record<string, unknown> }[]} events
 * @property {number} durationMs
 */

/** A double of an OpenTelemetry collector: takes traces as OTLP in JSON and keeps what they say. */
export class CollectorDouble {
	/** @type {CollectedSpan[]} */
	spans = [];
	/** Paths of all requests. @type {string[]} */
	paths = [];
	/** What requests are answered with; anything but 200 keeps nothing, null answers nothing. @type {number | null} */
	status = 200;
	#server;
	#onChange = () => {};

	constructor() {
		this.#server = createServer((request, response) => {
			void this.#take(request).then(() => {
				if (this.status !== null) response.writeHead(this.status).end("{}");
			});
		});
	}

	static async start() {
		const collector = new CollectorDouble();
		await new Promise((resolve) => collector.#server.listen(0, "127.0.0.1", () => resolve(null)));
		return collector;
	}

	/** "http://127.0.0.1:1234" */
	get endpoint() {
		return `http://127.0.0.1:${/** @type {import("node:net").AddressInfo} */ (this.#server.address()).port}`;
	}

	/**
	 * Resolves when `condition` holds; asked after each request.
	 * @param {(collector: CollectorDouble) => boolean} condition
	 */
	async until(condition) {
		while (!condition(this))
			await new Promise((resolve) => {
				this.#onChange = () => resolve(null);
			});
	}

	/** @param {string} name */
	named(name) {
		return this.spans.filter((span) => span.name === name);
	}

	async close() {
		const closed = new Promise((resolve) => this.#server.close(resolve));
		this.#server.closeAllConnections();
		await closed;
	}

	/** @param {import("node:http").IncomingMessage} request */
	async #take(request) {
		const parts = [];
		for await (const part of request) parts.push(part);
		this.paths.push(request.url ?? "");
		if (this.status === 200) this.#keep(JSON.parse(Buffer.concat(parts).toString()));
		this.#onChange();
	}

	#keep({ resourceSpans }) {
		for (const { resource, scopeSpans } of resourceSpans)
			for (const span of scopeSpans.flatMap(({ spans }) => spans))
				this.spans.push({
					service: String(valuesOf(resource.attributes)["service.name"]),
					name: span.name,
					traceId: span.traceId,
					spanId: span.spanId,
					parentSpanId: span.parentSpanId ?? "",
					traceState: span.traceState ?? "",
					kind: span.kind,
					status: span.status,
					attributes: valuesOf(span.attributes),
					links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
					events: (span.events ?? []).map(({ name, attributes }) => ({
						name,
						attributes: valuesOf(attributes ?? []),
					})),
					durationMs: Number(BigInt(span.endTimeUnixNano) - BigInt(span.startTimeUnixNano)) / 1e6,
				});
	}
}

/** @param {{ key: string, value: Record<string, unknown> }[]} attributes */
function valuesOf(attributes) {
	return Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
}
