// SPDX-License-Identifier: Apache-2.0
import { createLogger, createRequestContext, DynError, type LogRecord } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
	createCanary,
	createRuntime,
	createStatusServer,
	formatEndpointPath,
	type KeyValueStore,
	MemoryStore,
	parseEndpointPath,
	type Runtime,
	type StoreEvent,
} from "./index.js";
import { createPrometheusMetrics } from "./prometheus.js";

let runtime: Runtime;
beforeEach(async () => {
	runtime = await createRuntime();
});
afterEach(() => runtime.close());

const endpoint = () => runtime.endpoint("dyn://ns.comp.ep");
/** Resolves when `signal` has aborted. */
const aborted = (signal: AbortSignal) =>
	signal.aborted
		? Promise.resolve()
		: new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
async function collect(stream: AsyncIterable<unknown>): Promise<unknown[]> {
	const items = [];
	for await (const item of stream) items.push(item);
	return items;
}

describe("endpoint paths", () => {
	it("are parsed and written", () => {
		expect(formatEndpointPath(parseEndpointPath("dyn://a.b-1.c_2"))).toBe("dyn://a.b-1.c_2");
		expect(parseEndpointPath("a.b.c")).toEqual({ namespace: "a", component: "b", endpoint: "c" });
	});
	it.each(["dyn://a.b", "dyn://a.b.c.d", "dyn://a..c", "dyn://a.b/x.c", ""])("refuse %j", (text) => {
		expect(() => parseEndpointPath(text)).toThrow(DynError);
	});
});

describe("serving", () => {
	it("streams answers, and errors as they are", async () => {
		await endpoint().serve(async function* (request) {
			yield request;
			if (request === "bad") throw new DynError("OVERLOADED", "full");
		});
		const client = endpoint().client();
		expect(await collect(client.generate("x", createRequestContext()))).toEqual(["x"]);
		await expect(collect(client.generate("bad", createRequestContext()))).rejects.toMatchObject({
			code: "OVERLOADED",
		});
	});

	it("takes instances in turn, one by name, and says so when there is none", async () => {
		const client = endpoint().client();
		await expect(collect(client.generate(1, createRequestContext()))).rejects.toMatchObject({
			code: "UNAVAILABLE",
			retryable: true,
		});
		const served = [];
		for (const name of ["a", "b"]) {
			served.push(
				await endpoint().serve(async function* () {
					yield name;
				}),
			);
		}
		const answers = [];
		for (let i = 0; i < 4; i++) answers.push(...(await collect(client.generate(1, createRequestContext()))));
		expect(answers.toSorted()).toEqual(["a", "a", "b", "b"]);
		const { id } = served[1]!.instance;
		expect(await collect(client.generate(1, createRequestContext(), { instanceId: id }))).toEqual(["b"]);
		await served[1]!.close();
		await expect(collect(client.generate(1, createRequestContext(), { instanceId: id }))).rejects.toThrow(
			`not instance ${id}`,
		);
		expect(client.instances().map((instance) => instance.id)).toEqual([served[0]!.instance.id]);
	});

	it("avoids an instance until it is admitted, whatever else fails there meanwhile", async () => {
		for (const name of ["frozen", "fine"]) {
			await endpoint().serve(async function* (request) {
				if (request === "fail") throw new DynError("DISCONNECTED", "broke off");
				yield name;
			});
		}
		const client = endpoint().client();
		const chosen = async () => (await client.choose()).id;
		const [one, other] = [await chosen(), await chosen()];
		client.inhibit(one, "admitted");
		const failing = client.generate("fail", createRequestContext(), { instanceId: one });
		await expect(collect(failing)).rejects.toMatchObject({ code: "DISCONNECTED" });
		vi.useFakeTimers({ now: 0, toFake: ["performance"] });
		try {
			vi.advanceTimersByTime(3_600_000);
			expect([await chosen(), await chosen()]).toEqual([other, other]);
			client.admit(one);
			expect(new Set([await chosen(), await chosen()])).toEqual(new Set([one, other]));
		} finally {
			vi.useRealTimers();
		}
	});

	it("passes the caller's abort and early leave on to the handler", async () => {
		let ended = 0;
		await endpoint().serve(async function* (_request, { signal }) {
			try {
				yield 1;
				await aborted(signal);
			} finally {
				ended++;
			}
		});
		const client = endpoint().client();
		for await (const _ of client.generate(1, createRequestContext())) break;
		expect(ended).toBe(1);
		const stop = new AbortController();
		for await (const _ of client.generate(1, createRequestContext({ signal: stop.signal }))) stop.abort();
		expect(ended).toBe(2);
	});

	it("withdraws for a while: goes on serving, is not chosen, and comes back under the same id", async () => {
		const served = await endpoint().serve(async function* () {
			yield 1;
		});
		const client = endpoint().client();
		const instance = await client.choose();
		await served.withdraw();
		await vi.waitFor(() => expect(client.instances()).toEqual([]));
		expect(await collect(client.call(instance, {}, createRequestContext()))).toEqual([1]);
		await served.announce();
		await vi.waitFor(() => expect(client.instances()).toEqual([instance]));
		await served.drain();
		await expect(served.announce()).rejects.toMatchObject({ code: "DRAINING" });
		expect(client.instances()).toEqual([]);
	});

	it("drains: leaves discovery, refuses what is new, waits for what runs", async () => {
		let finish!: () => void;
		const served = await endpoint().serve(async function* () {
			yield "begun";
			await new Promise<void>((resolve) => {
				finish = resolve;
			});
			yield "done";
		});
		const client = endpoint().client();
		const running = client.generate(1, createRequestContext())[Symbol.asyncIterator]();
		await running.next();
		expect(served.inflight).toBe(1);
		let drained = false;
		const draining = served.drain().then(() => {
			drained = true;
		});
		await Promise.resolve();
		await Promise.resolve();
		expect(client.instances()).toEqual([]);
		const rest = running.next();
		finish();
		expect(await rest).toEqual({ value: "done", done: false });
		expect(drained).toBe(false);
		await running.next();
		await draining;
		expect(served.inflight).toBe(0);
	});

	it("lets a client that was just made see everyone who is there", async () => {
		for (const name of ["a", "b", "c"])
			await endpoint().serve(async function* () {
				yield name;
			});
		const client = endpoint().client();
		const first = [1, 2, 3].map((request) => collect(client.generate(request, createRequestContext())));
		expect((await Promise.all(first)).flat().toSorted()).toEqual(["a", "b", "c"]);
	});

	it("refuses to serve once the runtime is closed", async () => {
		await runtime.close();
		await expect(endpoint().serve(async function* () {})).rejects.toThrow(
			"cannot serve dyn://ns.comp.ep: the runtime is closed",
		);
	});

	it("aborts what runs when it is closed", async () => {
		const served = await endpoint().serve(async function* (_request, { signal }) {
			yield 1;
			await aborted(signal);
		});
		const running = endpoint().client().generate(1, createRequestContext())[Symbol.asyncIterator]();
		await running.next();
		const closing = served.close();
		expect((await running.next()).done).toBe(true);
		await closing;
	});
});

/** A memory store with some methods replaced. */
function storeWith(
	changes: (store: MemoryStore) => Partial<KeyValueStore>,
	store = new MemoryStore(),
): KeyValueStore {
	return {
		status: "connected",
		lease: () => store.lease(),
		put: (key, value, lease) => store.put(key, value, lease),
		delete: (key) => store.delete(key),
		watch: (prefix, signal) => store.watch(prefix, signal),
		close: () => store.close(),
		...changes(store),
	};
}

describe("a discovery store that", () => {
	it("answers late: a request waits until what is present is known", async () => {
		let answer = Promise.resolve();
		let release!: () => void;
		const discovery = storeWith((store) => ({
			async *watch(prefix, signal): AsyncGenerator<StoreEvent> {
				await answer;
				yield* store.watch(prefix, signal);
			},
		}));
		await using slow = await createRuntime({ discovery });
		await slow.endpoint("a.b.c").serve(async function* () {
			yield "found";
		});
		answer = new Promise((resolve) => {
			release = resolve;
		});
		const client = slow.endpoint("a.b.c").client();
		const answers = collect(client.generate(1, createRequestContext()));
		release();
		expect(await answers).toEqual(["found"]);
	});

	it("breaks while it is watched: is logged, and requests are told that nobody is there", async () => {
		const records: LogRecord[] = [];
		const discovery = storeWith(() => ({
			// biome-ignore lint/correctness/useYield: it breaks before it has anything to say
			async *watch(): AsyncGenerator<StoreEvent> {
				throw new Error("connection lost");
			},
		}));
		await using broken = await createRuntime({
			discovery,
			logger: createLogger("error", (record) => records.push(record)),
		});
		await expect(
			collect(broken.endpoint("a.b.c").client().generate(1, createRequestContext())),
		).rejects.toMatchObject({ code: "UNAVAILABLE" });
		expect(records.map(({ fields }) => fields["prefix"])).toEqual(["v1/mdc/", "v1/instances/a/b/c/"]);
	});

	it("cannot be reached at the end: the endpoint drains all the same and takes no call any more", async () => {
		const discovery = storeWith(() => ({
			delete: async () => {
				throw new Error("connection lost");
			},
		}));
		const stranded = await createRuntime({ discovery });
		const served = await stranded.endpoint("a.b.c").serve(async function* () {});
		const client = stranded.endpoint("a.b.c").client();
		await served.drain();
		await expect(collect(client.generate(1, createRequestContext()))).rejects.toMatchObject({
			code: "UNAVAILABLE",
			rawMessage: expect.stringContaining("has no instance"),
		});
	});
});

const card: ModelCard = {
	name: "m",
	source: "m",
	tokenizerPath: "/models/m",
	files: null,
	chatTemplatePath: null,
	endpointTypes: ["chat"],
	contextLength: 100,
	kvBlockSize: 32,
	totalKvBlocks: 10,
	maxNumSeqs: 4,
	maxNumBatchedTokens: 64,
	dpSize: 1,
	eosTokenIds: [2],
	logitsProcessors: ["p"],
	logprobs: true,
	maxChoices: 4,
	localPrefill: false,
	workerType: "aggregated",
	needs: [],
	createdSeconds: 7,
};

describe("model registry", () => {
	it("goes on when discovery cannot be reached, which puts the card when it can, and not when it refuses", async () => {
		let code: "UNAVAILABLE" | "UNAUTHENTICATED" = "UNAVAILABLE";
		const records: LogRecord[] = [];
		const discovery = storeWith(() => ({
			put: async () => {
				throw new DynError(code, "no");
			},
		}));
		await using worker = await createRuntime({
			discovery,
			logger: createLogger("warn", (record) => records.push(record)),
		});
		const instance = { id: 1n, path: { namespace: "a", component: "b", endpoint: "c" } };
		await worker.models.publish(card, instance);
		expect(records.map(({ fields }) => fields["model"])).toEqual(["m"]);
		code = "UNAUTHENTICATED";
		await expect(worker.models.publish(card, instance)).rejects.toMatchObject({ code });
	});

	it("shows present models first, then changes, across runtimes of one store", async () => {
		const store = new MemoryStore();
		const [worker, frontend] = [
			await createRuntime({ discovery: store }),
			await createRuntime({ discovery: store }),
		];
		const served = await worker.endpoint("a.b.c").serve(async function* () {});
		const registration = await worker.models.publish(card, served.instance);
		const stop = new AbortController();
		const slow = storeWith(
			() => ({
				async *watch(prefix, signal): AsyncGenerator<StoreEvent> {
					await new Promise(setImmediate);
					yield* store.watch(prefix, signal);
				},
			}),
			store,
		);
		expect((await createRuntime({ discovery: slow })).models.list()).toHaveLength(1);
		const changes = frontend.models.watch(stop.signal)[Symbol.asyncIterator]();
		expect((await changes.next()).value).toMatchObject({ type: "added", entry: { card } });
		expect(frontend.models.list()).toHaveLength(1);
		await registration.withdraw();
		expect((await changes.next()).value).toMatchObject({ type: "removed", entry: { card } });
		await worker.models.publish(card, served.instance);
		expect((await changes.next()).value).toMatchObject({ type: "added" });
		await worker.close(); // its lease goes, and with it what it published
		expect((await changes.next()).value).toMatchObject({ type: "removed" });
		stop.abort();
		expect((await changes.next()).done).toBe(true);
		await frontend.close();
	});
});

describe("status server", () => {
	it("is ready when every endpoint is, and exposes metrics", async () => {
		const metrics = createPrometheusMetrics();
		let now = 1000;
		const clock = { monotonicMs: () => now, wallMs: () => 0 };
		const observed = await createRuntime({ metrics, clock });
		await observed.endpoint("a.b.c").serve(async function* () {
			now += 2000;
			yield 1;
		});
		await collect(observed.endpoint("a.b.c").client().generate(1, createRequestContext()));
		const states = { "dyn://a.b.c": false };
		const server = await createStatusServer({ port: 0, metrics, endpoints: () => states });
		const health = async () => {
			const response = await fetch(`${server.address}/health`);
			return [response.status, await response.json()];
		};
		expect(await health()).toMatchObject([
			503,
			{ status: "notready", endpoints: { "dyn://a.b.c": "notready" } },
		]);
		states["dyn://a.b.c"] = true;
		expect(await health()).toMatchObject([200, { status: "ready", uptime: { secs: 0 } }]);
		const text = await (await fetch(`${server.address}/metrics`)).text();
		expect(text).toMatch(
			/^dynamo_component_requests_total\{dynamo_namespace="a",dynamo_component="b",dynamo_endpoint="c",worker_id="[0-9a-f]+"\} 1$/m,
		);
		expect(text).toContain("dynamo_component_inflight_requests{");
		expect(text).toMatch(/^dynamo_component_request_duration_seconds_sum\{.*\} 2$/m);
		expect(text).toMatch(/^dynamo_component_uptime_seconds\{worker_id="[0-9a-f]+"\} 2$/m);
		expect((await fetch(`${server.address}/nowhere`)).status).toBe(404);
		const posted = await fetch(`${server.address}/health`, { method: "POST" });
		expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
		const port = Number(new URL(server.address).port);
		await expect(createStatusServer({ port, metrics, endpoints: () => states })).rejects.toThrow(
			`port ${port} is in use`,
		);
		await expect(
			createStatusServer({ host: "192.0.2.1", port: 0, metrics, endpoints: () => states }),
		).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
		await server.close();
		await observed.close();
	});
});

describe("canary", () => {
	const judge = (handler: Parameters<typeof createCanary>[0]["handler"]) => {
		const canary = createCanary({ handler, payload: "probe", waitMs: 60_000, timeoutMs: 20 });
		return canary.probe().finally(() => canary.close());
	};
	it("believes a whole answer", async () => {
		const payloads: unknown[] = [];
		expect(
			await judge(async function* (request) {
				payloads.push(request);
				yield 1;
			}),
		).toBe(true);
		expect(payloads).toEqual(["probe"]);
	});
	it("does not believe an empty answer, an error, or one that freezes after its first item", async () => {
		expect(await judge(async function* () {})).toBe(false);
		expect(
			await judge(async function* () {
				yield 1;
				throw new Error("broken");
			}),
		).toBe(false);
		expect(
			await judge(async function* (_request, { signal }) {
				yield 1;
				await aborted(signal);
			}),
		).toBe(false);
	});

	describe("over time", () => {
		beforeEach(() => {
			vi.useFakeTimers();
		});
		afterEach(() => {
			vi.useRealTimers();
		});

		it("finds a handler that is frozen even to aborts, asks it no second time, and sees it thaw", async () => {
			let asked = 0;
			let thaw!: () => void;
			const canary = createCanary({
				async *handler() {
					asked++;
					yield 1;
					await new Promise<void>((resolve) => {
						thaw = resolve;
					});
				},
				payload: "probe",
				waitMs: 1000,
				timeoutMs: 100,
			});
			await vi.advanceTimersByTimeAsync(1100);
			expect([canary.healthy, asked]).toEqual([false, 1]);
			await vi.advanceTimersByTimeAsync(10_000);
			expect([canary.healthy, asked]).toEqual([false, 1]);
			thaw();
			await vi.advanceTimersByTimeAsync(1000);
			expect(asked).toBe(2);
			thaw();
			await vi.advanceTimersByTimeAsync(0);
			expect(canary.healthy).toBe(true);
			canary.close();
		});

		it("leaves a busy endpoint alone, but not a busy one that failed", async () => {
			let works = true;
			let asked = 0;
			const canary = createCanary({
				async *handler() {
					asked++;
					if (works) yield 1;
				},
				payload: "probe",
				waitMs: 1000,
			});
			const busyFor = async (ms: number) => {
				for (let passed = 0; passed < ms; passed += 100) {
					canary.touch();
					await vi.advanceTimersByTimeAsync(100);
				}
			};
			await busyFor(5000);
			expect(asked).toBe(0);
			works = false;
			await canary.probe();
			expect(canary.healthy).toBe(false);
			works = true;
			await busyFor(1000);
			expect([canary.healthy, asked]).toEqual([true, 2]);
			canary.close();
		});

		it("asks nothing after it was closed, also when that was in mid-probe", async () => {
			let asked = 0;
			const canary = createCanary({
				async *handler(_request, { signal }) {
					asked++;
					yield 1;
					await aborted(signal);
				},
				payload: "probe",
				waitMs: 1000,
			});
			await vi.advanceTimersByTimeAsync(1000);
			canary.close();
			canary.touch();
			await vi.advanceTimersByTimeAsync(60_000);
			expect([asked, canary.healthy]).toEqual([1, true]);
			expect(vi.getTimerCount()).toBe(0);
		});
	});
});
