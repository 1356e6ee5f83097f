// SPDX-License-Identifier: Apache-2.0
import { createLogger, createRequestContext, DynError, type LogRecord } from "@dyn/common";
import { type Instance, MemoryStore } from "@dyn/runtime";
import { connectNats, createNatsRequestPlane } from "@dyn/runtime/nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { all, codec, failure, Peer, signalled } from "../nats-peer.js";
import { NatsServer, natsServerMissing } from "../nats-server.js";

const missing = natsServerMissing();
if (missing) console.warn(`tests of requests over NATS skipped: ${missing}`);

describe.skipIf(missing)("requests over NATS", () => {
	let server: NatsServer;
	beforeAll(async () => {
		server = await NatsServer.start();
	});
	afterAll(() => server.kill());

	it("brings a request to its instance and the stream back, in order", async () => {
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		const seen = signalled<{ id: string; trace: unknown; deadlineMs: number | null }>();
		const served = await worker.runtime
			.endpoint("Dyn.back-end.generate")
			.serve(async function* (request, context) {
				seen.resolve(context);
				for (let i = 0; i < (request as { count: number }).count; i++) yield { i, big: 2n ** 60n };
			});
		const id = served.instance.id.toString(16);
		expect(served.instance.transport).toEqual({
			kind: "nats_tcp",
			subject: `dyn_back-end.generate-${id}`,
		});
		const context = createRequestContext({
			id: "request-1",
			trace: { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01` },
			deadlineMs: performance.now() + 60_000,
		});
		const client = caller.runtime.endpoint("Dyn.back-end.generate").client();
		expect(await all(client.generate({ count: 1000 }, context))).toEqual(
			Array.from({ length: 1000 }, (_, i) => ({ i, big: 2n ** 60n })),
		);
		const received = await seen.promise;
		expect(received.id).toBe("request-1");
		expect(received.trace).toEqual(context.trace);
		expect(received.deadlineMs).toBeGreaterThan(performance.now());
	});

	it("mixes 200 requests without mixing them up", async () => {
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		const echo = async function* (request: unknown) {
			for (let i = 0; i < 20; i++) {
				if (i % 5 === 0) await new Promise(setImmediate);
				yield [request, i];
			}
		};
		await worker.runtime.endpoint("dyn.backend.generate").serve(echo);
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		const streams = Array.from({ length: 200 }, (_, id) => all(client.generate(id, createRequestContext())));
		for (const [id, items] of (await Promise.all(streams)).entries())
			expect(items).toEqual(Array.from({ length: 20 }, (_, i) => [id, i]));
	});

	it("refuses while it drains, and finishes what runs", async () => {
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		const release = signalled();
		const served = await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield 1;
			await release.promise;
			yield 2;
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		const running = client.generate({}, createRequestContext())[Symbol.asyncIterator]();
		await running.next();
		const drained = served.drain();
		const refused = await failure(all(client.call(served.instance, {}, createRequestContext())));
		expect(refused.code).toBe("DRAINING");
		release.resolve();
		expect((await running.next()).value).toBe(2);
		expect((await running.next()).done).toBe(true);
		await drained;
	});

	it("carries an error of the handler with its code", async () => {
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield 1;
			throw new DynError("INVALID_ARGUMENT", "temperature must not be negative");
		});
		const stream = caller.runtime
			.endpoint("dyn.backend.generate")
			.client()
			.generate({}, createRequestContext());
		expect((await stream[Symbol.asyncIterator]().next()).value).toBe(1);
		const error = await failure(all(stream));
		expect(error.message).toBe("[INVALID_ARGUMENT] temperature must not be negative");
	});

	it("stops the handler when the caller aborts or leaves", async () => {
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		let stopped = signalled();
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* (_request, { signal }) {
			yield 1;
			await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
			stopped.resolve();
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		const abort = new AbortController();
		const aborted = all(client.generate({}, createRequestContext({ signal: abort.signal })));
		abort.abort(); // before the request is acknowledged
		expect((await failure(aborted)).code).toBe("CANCELLED");
		const later = new AbortController();
		const running = client.generate({}, createRequestContext({ signal: later.signal }));
		const iterator = running[Symbol.asyncIterator]();
		await iterator.next();
		stopped = signalled();
		later.abort();
		expect((await failure(iterator.next() as Promise<unknown>)).code).toBe("CANCELLED");
		await stopped.promise;
		stopped = signalled();
		for await (const _ of client.generate({}, createRequestContext())) break;
		await stopped.promise;
	});

	it("refuses what is more than an instance may serve, and serves on", async () => {
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery, { maxRunning: 1 });
		await using caller = await Peer.start(server, discovery);
		const release = signalled();
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield "began";
			await release.promise;
			yield "done";
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		const first = client.generate({}, createRequestContext())[Symbol.asyncIterator]();
		await first.next();
		const refused = await failure(all(client.generate({}, createRequestContext())));
		expect(refused.message).toBe("[OVERLOADED] 1 requests are being served");
		release.resolve();
		expect((await first.next()).value).toBe("done");
		expect((await first.next()).done).toBe(true);
		expect(await all(client.generate({}, createRequestContext()))).toEqual(["began", "done"]);
	});

	it("says when a request is too large, nobody serves, or what came is no request", async () => {
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		const served = await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield 1;
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		const large = await failure(all(client.generate("x".repeat(2 ** 21), createRequestContext())));
		expect(large.message).toMatch(/^\[PAYLOAD_TOO_LARGE\].*1048576 bytes.*max_payload/);

		const { transport } = served.instance as { transport: { subject: string } };
		for (const garbage of [
			new Uint8Array(),
			Buffer.from("hello"),
			Buffer.alloc(24),
			Buffer.alloc(100, 255),
		]) {
			const answer = await caller.nats.request(transport.subject, garbage, {}, createRequestContext().signal);
			expect(new TextDecoder().decode(answer)).toMatch(/^Server unavailable: /);
		}
		expect(await all(client.generate({}, createRequestContext()))).toEqual([1]);

		const plane = createNatsRequestPlane({ nats: caller.nats });
		const gone: Instance = {
			...served.instance,
			transport: { kind: "nats_tcp", subject: "dyn_backend.generate-0" },
		};
		const nobody = await failure(all(plane.call(gone, {}, createRequestContext(), codec)));
		expect(nobody.message).toBe("[UNAVAILABLE] nobody serves dyn_backend.generate-0 any more");
		await served.drain();
		await worker.nats.flush(); // the server has heard that it left
		const drained = await failure(all(plane.call(served.instance, {}, createRequestContext(), codec)));
		expect(drained.message).toBe(`[UNAVAILABLE] nobody serves ${transport.subject} any more`);
		await plane.close();
	});

	it("says in the log where an answer could not be delivered, and stops the handler", async () => {
		const warned = signalled<LogRecord>();
		const logger = createLogger("warn", warned.resolve);
		await using worker = await Peer.start(server, new MemoryStore(), { logger });
		const stopped = signalled();
		const served = await worker.runtime.endpoint("dyn.backend.generate").serve(async function* (
			_request,
			{ signal },
		) {
			if (!signal.aborted)
				await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
			stopped.resolve();
		});
		const { subject } = served.instance.transport as { subject: string };
		const info = { address: "127.0.0.1:1", subject: "s", context: "r", stream_type: "response" };
		const connection = { transport: "tcp_server", info: JSON.stringify(info) };
		const header = JSON.stringify({ id: "r", request_type: "single_in", connection_info: connection });
		const lengths = Buffer.alloc(24);
		lengths.writeBigUInt64BE(BigInt(header.length), 0);
		lengths.writeBigUInt64BE(2n, 8);
		const message = Buffer.concat([lengths, Buffer.from(`${header}{}`)]);
		const answer = await worker.nats.request(subject, message, {}, createRequestContext().signal);
		expect(answer).toHaveLength(0); // accepted
		expect((await warned.promise).fields).toMatchObject({
			request: "r",
			address: "127.0.0.1:1",
			error: { code: "ECONNREFUSED" },
		});
		await stopped.promise;
	});

	it("refuses a request that crossed with the worker's leaving", async () => {
		const nats = await connectNats({ servers: [server.url] });
		const plane = createNatsRequestPlane({ nats });
		const target = { id: 9n, path: { namespace: "dyn", component: "backend", endpoint: "generate" }, codec };
		const reached = await plane.register({ ...target, handler: async function* () {} });
		const { subject } = reached.transport as { subject: string };
		const asked = nats.request(subject, new Uint8Array(), {}, createRequestContext().signal);
		plane.unregister(target); // the server gets this after the request
		const answer = new TextDecoder().decode(await asked);
		expect(answer).toBe("Server unavailable: the endpoint is not served here any more");
		await plane.close();
		await nats.close();
	});

	it("tells a broken worker from a proper end", async () => {
		const discovery = new MemoryStore();
		const nats = await connectNats({ servers: [server.url] });
		await using caller = await Peer.start(server, discovery);
		const plane = createNatsRequestPlane({ nats });
		const target = { id: 7n, path: { namespace: "dyn", component: "backend", endpoint: "generate" }, codec };
		const never = signalled();
		const reached = await plane.register({
			...target,
			handler: async function* (_request, { signal }) {
				yield 1;
				signal.addEventListener("abort", () => never.resolve());
				await never.promise;
			},
		});
		const instance: Instance = { ...target, ...reached, deviceType: null };
		const calls = createNatsRequestPlane({ nats: caller.nats });
		const stream = calls.call(instance, {}, createRequestContext(), codec)[Symbol.asyncIterator]();
		await stream.next();
		await plane.close();
		expect((await failure(stream.next() as Promise<unknown>)).code).toBe("DISCONNECTED");
		await never.promise;
		await calls.close();
		await nats.close();
	});
});
