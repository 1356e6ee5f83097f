// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, createRequestContext, DynError, type LogRecord } from "@dyn/common";
import {
	createRuntime,
	type Instance,
	type KeyValueStore,
	MemoryStore,
	type ReceivedEvent,
	type Runtime,
} from "@dyn/runtime";
import {
	connectNats,
	createNatsEventPlane,
	createNatsRequestPlane,
	type NatsLink,
	type NatsOptions,
	type NatsRequestPlaneOptions,
} from "@dyn/runtime/nats";
import { nkeys } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { NatsServer, natsServerMissing } from "../nats-server.js";

const missing = natsServerMissing();
if (missing) console.warn(`NATS tests skipped: ${missing}`);

const identity = (value: unknown): unknown => value;
const codec = {
	encodeRequest: identity,
	decodeRequest: identity,
	encodeItem: identity,
	decodeItem: identity,
};

/** A process of its own, as far as NATS can tell. */
class Peer implements AsyncDisposable {
	readonly nats: NatsLink;
	readonly runtime: Runtime;

	private constructor(nats: NatsLink, runtime: Runtime) {
		this.nats = nats;
		this.runtime = runtime;
	}

	static async start(
		server: NatsServer,
		discovery: KeyValueStore,
		options: NatsOptions & Omit<NatsRequestPlaneOptions, "nats"> = {},
	): Promise<Peer> {
		const nats = await connectNats({ servers: [server.url], ...options });
		const requestPlanes = [createNatsRequestPlane({ ...options, nats })];
		const eventPlane = createNatsEventPlane({ nats });
		return new Peer(nats, await createRuntime({ discovery, requestPlanes, eventPlane }));
	}

	/** Resolves when the connection is there, or not there. */
	async becomes(connected: boolean): Promise<void> {
		if (this.nats.connected === connected) return;
		await new Promise<void>((resolve) => {
			const stop = this.nats.onChange(() => {
				stop();
				resolve();
			});
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.runtime.close();
		await this.nats.close();
	}
}

async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
	const list: unknown[] = [];
	for await (const item of items) list.push(item);
	return list;
}

async function failure(promise: Promise<unknown>): Promise<DynError> {
	const error = await promise.then(
		() => expect.unreachable("it should have failed"),
		(thrown: unknown) => thrown,
	);
	expect(DynError.is(error), String(error)).toBe(true);
	return error as DynError;
}

/** A promise and what settles it. */
function signalled<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
	let resolve!: (value: T) => void;
	const promise = new Promise<T>((settle) => {
		resolve = settle;
	});
	return { promise, resolve };
}

describe.skipIf(missing)("connectNats", () => {
	it("connects with user and password, and tells who should check what when they are wrong", async () => {
		await using server = await NatsServer.start("--user", "dyn", "--pass", "right");
		const servers = [server.url];
		const link = await connectNats({ servers, auth: { user: "dyn", password: "right" } });
		expect(link.connected).toBe(true);
		await link.close();
		await (await connectNats({ servers: [server.url.replace("//", "//dyn:right@")] })).close();
		const wrong = await failure(connectNats({ servers, auth: { user: "dyn", password: "wrong" } }));
		expect(wrong.code).toBe("UNAUTHENTICATED");
		expect(wrong.message).toContain(server.url);
		expect(wrong.message).toContain('check the user "dyn" and its password');
		expect(wrong.message).not.toContain("wrong");
		const none = await failure(connectNats({ servers }));
		expect(none.code).toBe("UNAUTHENTICATED");
		expect(none.message).toContain("give user and password, a token");
	});

	it("connects with a token", async () => {
		await using server = await NatsServer.start("--auth", "secret");
		const servers = [server.url];
		await (await connectNats({ servers, auth: { token: "secret" } })).close();
		const wrong = await failure(connectNats({ servers, auth: { token: "guess" } }));
		expect(wrong.message).toMatch(/^\[UNAUTHENTICATED\].*check the token$/);
	});

	it("connects with an nkey, and says when a subscription is not permitted", async () => {
		const user = nkeys.createUser();
		await using folder = await temporaryFolder();
		const config = join(folder.path, "nats.conf");
		await writeFile(
			config,
			`authorization { users: [{ nkey: ${user.getPublicKey()}, permissions: { subscribe: ["allowed", "_INBOX.>"] } }] }`,
		);
		await using server = await NatsServer.start("-c", config);
		const nkey = new TextDecoder().decode(user.getSeed());
		const link = await connectNats({ servers: [server.url], auth: { nkey } });
		await link.subscribe("allowed", () => {});
		const denied = await failure(link.subscribe("forbidden", () => {}));
		expect(denied.message).toMatch(/^\[UNAUTHENTICATED\].*subscribe to forbidden: grant the permission$/);
		await link.close();
	});

	it("says what to do when no server is there", async () => {
		const server = await NatsServer.start();
		await server.kill();
		const error = await failure(connectNats({ servers: [server.url] }));
		expect(error.code).toBe("UNAVAILABLE");
		expect(error.message).toContain("start nats-server or correct the address");
	});
});

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

describe.skipIf(missing)("requests while NATS is away", () => {
	it("finishes running streams, fails new calls at once, and serves again when it is back", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		const release = signalled();
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield 1;
			await release.promise;
			yield 2;
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		const running = client.generate({}, createRequestContext())[Symbol.asyncIterator]();
		await running.next();

		await server.kill();
		await Promise.all([worker.becomes(false), caller.becomes(false)]);
		const refused = await failure(all(client.generate({}, createRequestContext())));
		expect(refused.message).toMatch(/^\[UNAVAILABLE\] NATS at nats:.* cannot be reached/);
		const second = await worker.runtime.endpoint("dyn.backend.other").serve(async function* () {
			yield "other";
		});
		release.resolve();
		expect((await running.next()).value).toBe(2);
		expect((await running.next()).done).toBe(true);

		await server.start();
		await Promise.all([worker.becomes(true), caller.becomes(true)]);
		await worker.nats.flush(); // it is subscribed again
		expect(await all(client.generate({}, createRequestContext()))).toEqual([1, 2]);
		const other = caller.runtime.endpoint("dyn.backend.other").client();
		expect(await all(other.call(second.instance, {}, createRequestContext()))).toEqual(["other"]);
	});

	it("fails a call that waits for its acknowledgement as soon as the connection breaks", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery, { requestTimeoutMs: 600_000 });
		await using caller = await Peer.start(server, discovery, { requestTimeoutMs: 600_000 });
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		await server.freeze();
		const requests = vi.spyOn(caller.nats, "request");
		const abort = new AbortController();
		const context = createRequestContext({ signal: abort.signal });
		const aborted = client.generate({}, context)[Symbol.asyncIterator]().next();
		await vi.waitUntil(() => requests.mock.calls.length === 1);
		abort.abort();
		expect((await failure(aborted)).code).toBe("CANCELLED");
		const waiting = failure(all(client.generate({}, createRequestContext())));
		await vi.waitUntil(() => requests.mock.calls.length === 2);
		await server.kill();
		expect((await waiting).code).toBe("UNAVAILABLE");
	});

	it("does not wait longer than the request timeout for a server that is frozen", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery, { requestTimeoutMs: 100 });
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield 1;
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		await server.freeze();
		const error = await failure(all(client.generate({}, createRequestContext())));
		expect(error.message).toMatch(/^\[UNAVAILABLE\] dyn_backend\.generate-\w+ did not answer within 100 ms$/);
		server.thaw();
		expect(await all(client.generate({}, createRequestContext()))).toEqual([1]);
	});
});

describe.skipIf(missing)("a link", () => {
	it("comes back after any number of attempts", async () => {
		await using server = await NatsServer.start();
		const nats = await connectNats({ servers: [server.url] });
		await server.kill();
		await refuseConnections(server.url, 11); // the library's own limit is 10
		const back = new Promise<boolean>((resolve) => nats.onChange((connected) => connected && resolve(true)));
		await server.start();
		await back;
		await nats.close();
	});
});

describe.skipIf(missing)("events over NATS", () => {
	const scope = { namespace: "dyn.1", component: "backend" };

	it("brings events in order to every subscriber of the subject, and announces the publisher", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const first = await reading.runtime.events.subscribe(scope, "kv-events");
		const second = await publishing.runtime.events.subscribe(scope, "kv-events");
		const elsewhere = await reading.runtime.events.subscribe({ namespace: "dyn.1" }, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events");

		const channel = [...(await entries(discovery))];
		const hex = publisher.id.toString(16);
		expect(channel.map(([key]) => key)).toEqual([
			`v1/event_channels/namespace/dyn%2E1/component/backend/topic/kv-events/${hex}`,
		]);
		expect(channel[0]![1]).toContain(
			'"transport":{"kind":"Nats","config":{"subject_prefix":"namespace.dyn%2E1.component.backend"}}',
		);

		const payload = (i: number) => ({ i, hash: 2n ** 63n + 1n, bytes: Buffer.from([1, 2, 3]) });
		const count = 5000;
		for (let i = 0; i < count; i++) publisher.send(payload(i));
		for (const subscription of [first, second]) {
			const events = await take(subscription, count);
			expect(events.map(({ sequence }) => Number(sequence))).toEqual(
				Array.from({ length: count }, (_, i) => i),
			);
			expect(events.every((event) => event.missed === 0n && event.publisherId === publisher.id)).toBe(true);
			expect(events[4999]!.payload).toEqual(payload(4999));
			expect(Math.abs(events[0]!.publishedAtMs - Date.now())).toBeLessThan(60_000);
		}
		expect(publisher.dropped).toBe(0);

		const namespace = await publishing.runtime.events.publish({ namespace: "dyn.1" }, "kv-events");
		namespace.send("for the namespace");
		expect((await take(elsewhere, 1))[0]!.payload).toBe("for the namespace");
		await publisher.close();
		await namespace.close();
		expect(await entries(discovery)).toEqual(new Map());
	});

	it("keeps the newest while NATS is away, counts the others, and goes on when it is back", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const subscription = await reading.runtime.events.subscribe(scope, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events", { capacity: 10 });
		for (let i = 0; i < 5; i++) publisher.send(i);
		expect((await take(subscription, 5)).map(({ payload }) => payload)).toEqual([0, 1, 2, 3, 4]);

		await server.kill();
		await Promise.all([publishing.becomes(false), reading.becomes(false)]);
		for (let i = 5; i < 105; i++) publisher.send(i);
		expect(publisher.dropped).toBe(90);
		await server.start();
		await Promise.all([publishing.becomes(true), reading.becomes(true)]);
		await reading.nats.flush(); // it is subscribed again
		publisher.send("last");
		const rest: ReceivedEvent[] = [];
		for await (const event of subscription) {
			rest.push(event);
			if (event.payload === "last") break;
		}
		// Those kept may have come before the reader was back; then they are missed like the dropped ones.
		const missed = rest.reduce((sum, event) => sum + event.missed, 0n);
		expect(missed + BigInt(rest.length)).toBe(101n);
		expect(missed).toBeGreaterThanOrEqual(90n);
		expect(rest[0]!.missed).toBe(missed);
		expect(publisher.dropped).toBe(90);
	});

	it("survives being killed again and again in the middle of a burst", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const subscription = await reading.runtime.events.subscribe(scope, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events", { capacity: 100 });
		let sent = 0;
		const send = (count: number) => {
			for (const end = sent + count; sent < end; sent++) publisher.send(sent);
		};
		const received: ReceivedEvent[] = [];
		for (let round = 0; round < 3; round++) {
			send(2000);
			const killed = server.kill();
			send(2000);
			await killed;
			await Promise.all([publishing.becomes(false), reading.becomes(false)]);
			send(2000);
			await server.start();
			await Promise.all([publishing.becomes(true), reading.becomes(true)]);
			await reading.nats.flush(); // it is subscribed again
			send(1);
			do received.push(...(await take(subscription, 1)));
			while (received.at(-1)!.payload !== sent - 1);
		}
		const sequences = received.map(({ sequence }) => Number(sequence));
		expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
		expect(received.map(({ payload }) => payload)).toEqual(sequences);
		// Every event came or is known to be missed, but for those before the first that came.
		const missed = received.reduce((sum, event) => sum + Number(event.missed), 0);
		expect(sequences[0]! + missed + received.length).toBe(sent);
	});

	it("lets a slow subscriber lose the oldest and know how many", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using publishing = await Peer.start(server, discovery);
		await using reading = await Peer.start(server, discovery);
		const slow = await reading.runtime.events.subscribe(scope, "kv-events", { capacity: 5 });
		const watching = await reading.runtime.events.subscribe(scope, "kv-events");
		const publisher = await publishing.runtime.events.publish(scope, "kv-events");
		for (let i = 0; i < 20; i++) publisher.send(i);
		await take(watching, 20);
		expect(slow.dropped).toBe(15);
		const events = await take(slow, 5);
		await Promise.all([slow.close(), watching.close()]);
		await reading.nats.flush();
		const { signal } = createRequestContext();
		const subject = "namespace.dyn%2E1.component.backend.kv-events";
		const nobody = await failure(publishing.nats.request(subject, new Uint8Array(), {}, signal));
		expect(nobody.message).toBe(`[UNAVAILABLE] nobody serves ${subject} any more`);
		expect(events.map(({ payload, missed }) => [payload, missed])).toEqual([
			[15, 15n],
			[16, 0n],
			[17, 0n],
			[18, 0n],
			[19, 0n],
		]);
	});

	it("drops what cannot be sent without throwing, and sends the next", async () => {
		await using server = await NatsServer.start();
		await using peer = await Peer.start(server, new MemoryStore());
		const subscription = await peer.runtime.events.subscribe(scope, "kv-events");
		const publisher = await peer.runtime.events.publish(scope, "kv-events");
		publisher.send("first");
		publisher.send(() => "a function is no data");
		publisher.send(new Uint8Array(2 ** 21));
		publisher.send("last");
		const [first, last] = await take(subscription, 2);
		expect([first!.payload, last!.payload, last!.missed]).toEqual(["first", "last", 2n]);
		expect(publisher.dropped).toBe(2);
	});
});

/** The first `count` events; the subscription stays open. */
async function take(subscription: AsyncIterable<ReceivedEvent>, count: number): Promise<ReceivedEvent[]> {
	const iterator = subscription[Symbol.asyncIterator]();
	const events: ReceivedEvent[] = [];
	while (events.length < count) events.push((await iterator.next()).value);
	return events;
}

/** Accepts `count` connections at that address and closes them at once. */
async function refuseConnections(url: string, count: number): Promise<void> {
	const listener = createServer((socket) => {
		socket.destroy();
		if (--count === 0) listener.close();
	});
	listener.listen(Number(new URL(url).port), "127.0.0.1");
	await once(listener, "close");
}

async function entries(store: KeyValueStore): Promise<Map<string, string>> {
	const found = new Map<string, string>();
	for await (const event of store.watch("v1/event_channels/", new AbortController().signal)) {
		if (event.type === "synced") break;
		if (event.type === "put") found.set(event.key, event.value);
	}
	return found;
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
	const path = await mkdtemp(join(tmpdir(), "dyn-nats-"));
	return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
