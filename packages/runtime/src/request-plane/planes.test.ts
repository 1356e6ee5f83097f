// SPDX-License-Identifier: Apache-2.0
import { type AddressInfo, connect, createServer } from "node:net";
import { createRequestContext, DynError, type RequestContext } from "@dyn/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aborted, collect } from "../__fixtures__/streams.js";
import { createRuntime } from "../create-runtime.js";
import { MemoryStore } from "../discovery/memory-store.js";
import type { EndpointHandler, Runtime, ServedEndpoint } from "../types.js";
import { otherSelfSigned, selfSigned } from "./__fixtures__/self-signed.js";
import { createHttpPlane } from "./http/http-plane.js";
import type { RequestPlane } from "./request-plane.js";
import type { TcpTls } from "./tcp/sockets.js";
import { createTcpPlane } from "./tcp/tcp-plane.js";

const signalled = () => {
	let reach!: () => void;
	const reached = new Promise<void>((resolve) => {
		reach = resolve;
	});
	return { reached, reach };
};

interface Limits {
	readonly maxRunning?: number;
	readonly maxWaiting?: number;
}
type PlaneFactory = (limits: Limits) => RequestPlane;

/** A worker and a caller that share discovery and nothing else. */
class Pair {
	readonly store = new MemoryStore();
	readonly runtimes: Runtime[] = [];
	readonly planes: RequestPlane[] = [];

	async runtime(create: PlaneFactory, limits: Limits = {}): Promise<Runtime> {
		const plane = create(limits);
		this.planes.push(plane);
		const runtime = await createRuntime({ discovery: this.store, requestPlanes: [plane] });
		this.runtimes.push(runtime);
		return runtime;
	}

	async serve(create: PlaneFactory, handler: EndpointHandler, limits: Limits = {}): Promise<ServedEndpoint> {
		return (await this.runtime(create, limits)).endpoint("a.b.c").serve(handler);
	}

	async close(): Promise<void> {
		await Promise.all(this.runtimes.map((runtime) => runtime.close()));
	}
}

let pair: Pair;
beforeEach(() => {
	pair = new Pair();
});
afterEach(() => pair.close());

const callHome: PlaneFactory = (limits) => createTcpPlane({ multiplexed: false, ...limits });
const multiplexed: PlaneFactory = (limits) => createTcpPlane({ ...limits });

describe.each<[string, PlaneFactory]>([
	["tcp, call-home, json", (limits) => createTcpPlane({ multiplexed: false, codec: "json", ...limits })],
	["tcp, call-home, msgpack", callHome],
	["tcp, multiplexed", multiplexed],
	["tcp, call-home, TLS", (limits) => createTcpPlane({ multiplexed: false, tls: selfSigned(), ...limits })],
	["tcp, multiplexed, TLS", (limits) => createTcpPlane({ tls: selfSigned(), ...limits })],
	[
		"http, json",
		({ maxRunning }) => createHttpPlane({ codec: "json", ...(maxRunning ? { maxRunning } : {}) }),
	],
	[
		"http, TLS",
		({ maxRunning }) => createHttpPlane({ tls: selfSigned(), ...(maxRunning ? { maxRunning } : {}) }),
	],
	["http, msgpack", ({ maxRunning }) => createHttpPlane(maxRunning ? { maxRunning } : {})],
])("%s", (_name, plane) => {
	const client = async () => (await pair.runtime(plane)).endpoint("a.b.c").client();

	it("carries a request there and a stream back, with ids, text, bytes and large integers", async () => {
		const seen: [unknown, RequestContext][] = [];
		await pair.serve(plane, async function* (request, context) {
			seen.push([request, context]);
			yield { n: 1, big: 2n ** 63n + 1n, text: "grüße" };
			yield [];
		});
		const trace = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };
		const context = createRequestContext({ id: "r-1", trace, deadlineMs: performance.now() + 60_000 });
		expect(await collect((await client()).generate({ id: 2n ** 64n - 1n, a: [1, null] }, context))).toEqual([
			{ n: 1, big: 2n ** 63n + 1n, text: "grüße" },
			[],
		]);
		expect(seen[0]![0]).toEqual({ id: 2n ** 64n - 1n, a: [1, null] });
		expect(seen[0]![1]).toMatchObject({ id: "r-1", trace });
		expect(seen[0]![1].deadlineMs! - performance.now()).toBeGreaterThan(50_000);
	});

	it("mixes 200 requests without mixing them up", async () => {
		await pair.serve(plane, async function* (request) {
			for (let i = 0; i < 20; i++) {
				if (i % 5 === 0) await new Promise(setImmediate);
				yield [request, i];
			}
		});
		const caller = await client();
		const streams = Array.from({ length: 200 }, (_, id) =>
			collect(caller.generate(id, createRequestContext())),
		);
		for (const [id, items] of (await Promise.all(streams)).entries())
			expect(items).toEqual(Array.from({ length: 20 }, (_, i) => [id, i]));
	});

	it("carries an item of many megabytes", async () => {
		const large = "x".repeat(5_000_000);
		await pair.serve(plane, async function* (request) {
			yield request;
		});
		expect(await collect((await client()).generate(large, createRequestContext()))).toEqual([large]);
	});

	it("reports what the handler throws, after what it gave, with code and details", async () => {
		await pair.serve(plane, async function* () {
			yield 1;
			throw new DynError("LOGITS_PROCESSOR_FAILED", "no luck", { details: { processor: "p" } });
		});
		const items: unknown[] = [];
		const failing = (async () => {
			for await (const item of (await client()).generate(0, createRequestContext())) items.push(item);
		})();
		await expect(failing).rejects.toMatchObject({
			code: "LOGITS_PROCESSOR_FAILED",
			rawMessage: "no luck",
			details: { processor: "p" },
		});
		expect(items).toEqual([1]);
	});

	it.each(["before", "after"])("cancels the handler %s its first item", async (when) => {
		const began = signalled();
		const ended = signalled();
		await pair.serve(plane, async function* (_request, { signal }) {
			if (when === "after") yield 1;
			began.reach();
			await aborted(signal);
			ended.reach();
		});
		const stop = new AbortController();
		const stream = collect((await client()).generate(0, createRequestContext({ signal: stop.signal })));
		await began.reached;
		stop.abort();
		await expect(stream).rejects.toMatchObject({ code: "CANCELLED" });
		await ended.reached;
	});

	it("ends the handler when the reader leaves", async () => {
		const ended = signalled();
		await pair.serve(plane, async function* (_request, { signal }) {
			signal.addEventListener("abort", ended.reach);
			for (;;) {
				yield 1;
				await new Promise(setImmediate);
			}
		});
		for await (const item of (await client()).generate(0, createRequestContext())) if (item === 1) break;
		await ended.reached;
	});

	it("breaks off when the worker dies, and avoids the worker afterwards", async () => {
		const ids = new Map<string, bigint>();
		for (const name of ["dying", "healthy"]) {
			const served = await pair.serve(plane, async function* (_request, { signal }) {
				yield name;
				if (name === "dying") await aborted(signal);
			});
			ids.set(name, served.instance.id);
		}
		const caller = await client();
		const dying = await caller.choose({ instanceId: ids.get("dying")! });
		const broken = caller.call(dying, 0, createRequestContext())[Symbol.asyncIterator]();
		expect((await broken.next()).value).toBe("dying");
		await pair.planes[0]!.close(); // as when a process is killed: discovery does not know yet
		await expect(broken.next()).rejects.toMatchObject({ code: "DISCONNECTED" });
		for (let i = 0; i < 4; i++)
			expect(await collect(caller.generate(0, createRequestContext()))).toEqual(["healthy"]);
		await expect(collect(caller.call(dying, 0, createRequestContext()))).rejects.toMatchObject({
			code: "UNAVAILABLE",
		});
	});

	it("lets a slow reader slow its own handler only", async () => {
		const COUNT = 20_000; // more than the kernel buffers of a connection
		let given = 0;
		await pair.serve(plane, async function* (request) {
			for (let i = 0; i < COUNT; i++) {
				if (request === "slow") given++;
				yield "x".repeat(1000);
			}
		});
		const caller = await client();
		const slow = caller.generate("slow", createRequestContext())[Symbol.asyncIterator]();
		await slow.next();
		expect(await collect(caller.generate("fast", createRequestContext()))).toHaveLength(COUNT);
		for (let before = -1, quiet = 0; quiet < 200; before = given) {
			await new Promise(setImmediate);
			quiet = given === before ? quiet + 1 : 0;
		}
		expect(given).toBeLessThan(COUNT);
		let rest = 1;
		while (!(await slow.next()).done) rest++;
		expect(rest).toBe(COUNT);
	});

	it("refuses beyond its limits as overloaded, and serves again when there is room", async () => {
		const release = signalled();
		const began = signalled();
		const handler: EndpointHandler = async function* () {
			began.reach();
			yield 1;
			await release.reached;
		};
		await pair.serve(plane, handler, { maxRunning: 1, maxWaiting: 0 });
		const caller = await client();
		const [instance] = caller.instances();
		const call = () => collect(caller.call(instance!, 0, createRequestContext()));
		const running = call();
		await began.reached;
		await expect(call()).rejects.toMatchObject({ code: "OVERLOADED" });
		release.reach();
		expect(await running).toEqual([1]);
		expect(await call()).toEqual([1]);
	});

	it("names an endpoint that has gone", async () => {
		const served = await pair.serve(plane, async function* () {
			yield 1;
		});
		const caller = await client();
		const [instance] = caller.instances();
		pair.planes[0]!.unregister(served.instance);
		await expect(collect(caller.call(instance!, 0, createRequestContext()))).rejects.toMatchObject({
			code: "UNAVAILABLE",
		});
	});

	it("refuses while it drains, and finishes what runs", async () => {
		const release = signalled();
		const served = await pair.serve(plane, async function* () {
			yield 1;
			await release.reached;
			yield 2;
		});
		const caller = await client();
		const [instance] = caller.instances();
		const running = caller.call(instance!, 0, createRequestContext())[Symbol.asyncIterator]();
		await running.next();
		const drained = served.drain();
		await expect(collect(caller.call(instance!, 0, createRequestContext()))).rejects.toMatchObject({
			code: "DRAINING",
		});
		release.reach();
		expect((await running.next()).value).toBe(2);
		expect((await running.next()).done).toBe(true);
		await drained;
	});

	it("is told when nothing listens where the instance was", async () => {
		const free = createServer();
		const port = await new Promise<number>((resolve) =>
			free.listen(0, "127.0.0.1", () => resolve((free.address() as AddressInfo).port)),
		);
		await new Promise((resolve) => free.close(resolve));
		const served = await pair.serve(plane, async function* () {});
		const caller = await client();
		const { transport } = served.instance;
		const gone = {
			...served.instance,
			transport:
				transport.kind === "http"
					? { kind: "http" as const, url: `http://127.0.0.1:${port}/x` }
					: { kind: "tcp" as const, address: `127.0.0.1:${port}/x` },
		};
		await expect(collect(caller.call(gone, 0, createRequestContext()))).rejects.toMatchObject({
			code: "UNAVAILABLE",
		});
	});
});

describe.each([
	["tcp", createTcpPlane],
	["http", ({ tls }: { tls?: TcpTls } = {}) => createHttpPlane(tls ? { tls } : {})],
] as const)("%s under TLS", (_name, create) => {
	const serve = () =>
		pair.serve(
			() => create({ tls: selfSigned() }),
			async function* () {
				yield 1;
			},
		);

	it("keeps out who has no certificate of the authority, and who speaks without TLS", async () => {
		const served = await serve();
		const stranger = { ...otherSelfSigned(), insecure: true };
		for (const plane of [create(), create({ tls: stranger })]) {
			const client = (await pair.runtime(() => plane)).endpoint("a.b.c").client();
			await expect(collect(client.generate(0, createRequestContext()))).rejects.toMatchObject({
				code: "UNAVAILABLE",
			});
		}
		expect(served.inflight).toBe(0);
	});

	it("sends nothing to a worker whose certificate is of another authority, or for another name", async () => {
		const served = await serve();
		const { cert, key } = selfSigned();
		const distrustful = { cert, key, ca: otherSelfSigned().cert };
		for (const tls of [distrustful, { ...selfSigned(), serverName: "elsewhere.example" }]) {
			const client = (await pair.runtime(() => create({ tls }))).endpoint("a.b.c").client();
			await expect(collect(client.generate(0, createRequestContext()))).rejects.toMatchObject({
				code: "UNAVAILABLE",
				message: expect.stringMatching(/certificate|altnames/),
			});
		}
		expect(served.inflight).toBe(0);
		const named = { ...selfSigned(), serverName: "localhost" };
		const client = (await pair.runtime(() => create({ tls: named }))).endpoint("a.b.c").client();
		expect(await collect(client.generate(0, createRequestContext()))).toEqual([1]);
	});
});

describe("between one peer that multiplexes and one that does not", () => {
	it.each([
		[callHome, multiplexed],
		[multiplexed, callHome],
	])("answers are called home", async (worker, caller) => {
		await pair.serve(worker, async function* (request) {
			yield request;
		});
		const client = (await pair.runtime(caller)).endpoint("a.b.c").client();
		expect(await collect(client.generate(7, createRequestContext()))).toEqual([7]);
	});
});

describe("a request server", () => {
	it("survives rubbish on its port", async () => {
		const served = await pair.serve(multiplexed, async function* () {
			yield 1;
		});
		const { transport } = served.instance;
		const [host, port] = (transport.kind === "tcp" ? transport.address.split("/")[0]! : "").split(":");
		const rubbish = ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\x02[]\0\0\0\0", "\xff".repeat(100)];
		for (const text of rubbish) {
			const socket = connect(Number(port), host);
			socket.on("error", () => {});
			socket.end(Buffer.from(text, "latin1"));
			socket.resume();
			await new Promise((resolve) => socket.once("close", resolve));
		}
		const client = (await pair.runtime(multiplexed)).endpoint("a.b.c").client();
		expect(await collect(client.generate(0, createRequestContext()))).toEqual([1]);
	});
});
