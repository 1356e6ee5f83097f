// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, createRequestContext, DynError } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo } from "@dyn/engine";
import { createGenerateRequest, type EngineOutput, type GenerateRequest } from "@dyn/protocols";
import { beforeEach, expect, it, vi } from "vitest";
import type { TrtllmServe } from "../serve/trtllm-serve.js";
import type { EngineControl } from "./trtllm/engine-control.js";
import type { LaunchHooks } from "./trtllm/engine-lives.js";
import { TrtllmServeEngine, type TrtllmServeEngineOptions } from "./trtllm-serve-engine.js";

const info: EngineInfo = {
	model: "m",
	contextLength: 100,
	vocabSize: 50,
	eosTokenIds: [],
	kvBlockSize: 32,
	totalKvBlocks: 10,
	maxNumSeqs: 4,
	maxNumBatchedTokens: 64,
	dpSize: 1,
	description: "fake",
	capabilities: {
		logprobs: true,
		maxChoices: 8,
		kvEvents: false,
		features: ["decode", "visible_stop_token_ids", "guided_regex"],
	},
};
const session = {
	sessionId: "7",
	transferBackend: "NIXL",
	endpoints: [],
	dpRank: 0,
	attributes: { opaque_state: "AAAA" },
};

/** One request as it arrived at the engine. */
interface Asked {
	readonly request: GenerateRequest;
	readonly signal: AbortSignal;
	readonly outputs: AsyncQueue<EngineOutput>;
}
let asked: Asked[];
let lives: number;
let nextInfo: EngineInfo;
let isReady: boolean;
let engineHealth: EngineHealth;
let nowMs: number;
let hooks: LaunchHooks;
let giveUp: () => void;
let failure: DynError | null;

const output = (tokenIds: number[], finishReason: EngineOutput["finishReason"] = null): EngineOutput => ({
	index: 0,
	tokenIds,
	logprobs: null,
	finishReason,
	stopTokenId: null,
	usage: finishReason ? { promptTokens: 2, completionTokens: tokenIds.length, cachedTokens: 0 } : null,
});

function fakeEngine(): Engine {
	lives++;
	return {
		start: async () => nextInfo,
		async *generate(request, { signal }) {
			const outputs = new AsyncQueue<EngineOutput>();
			asked.push({ request, signal, outputs });
			const end = () => {
				outputs.push(output([], "cancelled"));
				outputs.end();
			};
			if (signal.aborted) end();
			else signal.addEventListener("abort", end);
			yield* outputs;
		},
		kvEvents: async function* () {},
		load: () => [],
		health: () => engineHealth,
		drain: async () => {},
		close: async () => {},
	};
}

async function started(
	options: Partial<TrtllmServeEngineOptions> = {},
	isLaunched = true,
): Promise<TrtllmServeEngine> {
	const control: EngineControl = {
		async probe() {
			if (!isReady) throw new DynError("UNAVAILABLE", "not there");
		},
		connect: async () => ({ engine: fakeEngine(), info: nextInfo }),
		close() {},
	};
	const launch = async (given: LaunchHooks): Promise<TrtllmServe> => {
		hooks = given;
		const closed = new Promise<void>((resolve) => {
			giveUp = resolve;
		});
		return {
			pid: 1,
			closed,
			get failure() {
				return failure;
			},
			close: async () => {},
			[Symbol.asyncDispose]: async () => {},
		};
	};
	const engine = new TrtllmServeEngine({
		control,
		rules: { mode: "decode" },
		modelName: "m",
		clock: { monotonicMs: () => nowMs, wallMs: () => 0 },
		...(isLaunched ? { launch } : {}),
		...options,
	});
	await engine.start();
	return engine;
}
const exited = {
	type: "exited",
	pid: 1,
	exitCode: null,
	signal: "SIGKILL",
	lastErrors: [],
	startError: null,
} as const;
const request = (init: Partial<Parameters<typeof createGenerateRequest>[0]> = {}) =>
	createGenerateRequest({ tokenIds: [1, 2], ...init });
const collect = async (engine: Engine, asking: GenerateRequest, signal?: AbortSignal) => {
	const outputs: EngineOutput[] = [];
	for await (const each of engine.generate(asking, createRequestContext(signal ? { signal } : {})))
		outputs.push(each);
	return outputs;
};
const untilAsked = (count: number) => vi.waitFor(() => expect(asked.length).toBe(count));

beforeEach(() => {
	asked = [];
	lives = 0;
	nextInfo = info;
	isReady = true;
	engineHealth = { status: "healthy" };
	nowMs = 0;
	failure = null;
});

it("lets the requests of a life that ended go elsewhere, at once, and serves again after the next one answers", async () => {
	const engine = await started();
	const running = collect(engine, request());
	await untilAsked(1);
	hooks.onEvent!(exited);
	await expect(running).rejects.toMatchObject({ code: "DISCONNECTED", retryable: true });
	expect(engine.health()).toEqual({ status: "restarting", reason: "its process ended (SIGKILL)" });
	await expect(collect(engine, request())).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
	isReady = false;
	hooks.onEvent!({ type: "restarted", pid: 2, restarts: 1 });
	isReady = true;
	await vi.waitFor(() => expect(engine.health()).toEqual({ status: "healthy" }));
	const answer = collect(engine, request());
	await untilAsked(2);
	asked[1]!.outputs.push(output([5], "length"));
	asked[1]!.outputs.end();
	expect((await answer).flatMap(({ tokenIds }) => tokenIds)).toEqual([5]);
	expect(lives).toBe(2);
	await engine.close();
});

it.each([
	[{ contextLength: 200 }, "contextLength (100 before, 200 now)"],
	[{ capabilities: { ...info.capabilities, features: [] } }, "set of features (decode is gone)"],
])("does not serve another engine under the old name: %j", async (change, what) => {
	const engine = await started();
	nextInfo = { ...info, ...change };
	hooks.onEvent!(exited);
	hooks.onEvent!({ type: "restarted", pid: 2, restarts: 1 });
	await vi.waitFor(() => expect(engine.health()).toMatchObject({ status: "dead" }));
	expect((engine.health() as { reason: string }).reason).toContain(what);
	await engine.close();
});

it("is dead when the supervisor has given up", async () => {
	const engine = await started();
	failure = new DynError("UNAVAILABLE", "given up after 5 restarts");
	giveUp();
	await vi.waitFor(() =>
		expect(engine.health()).toEqual({ status: "dead", reason: "given up after 5 restarts" }),
	);
	await engine.close();
});

it("notices that an engine that it has not started is gone, and that it is back", async () => {
	const engine = await started({}, false);
	const running = collect(engine, request());
	await untilAsked(1);
	engineHealth = { status: "restarting", reason: "the engine is not ready: scheduler" };
	expect(engine.health()).toEqual(engineHealth);
	await expect(running).rejects.toMatchObject({ code: "DISCONNECTED" });
	engineHealth = { status: "healthy" };
	await vi.waitFor(() => expect(engine.health()).toEqual({ status: "healthy" }));
	expect(lives).toBe(2);
	await engine.close();
});

it("says that it is stuck when nobody gets a token, tells the supervisor, and lets its requests go elsewhere", async () => {
	const engine = await started({ stall: { tokenMs: 100, firstTokenMs: 1000 } });
	const running = collect(engine, request());
	await untilAsked(1);
	nowMs = 999;
	expect(engine.health()).toEqual({ status: "healthy" });
	asked[0]!.outputs.push(output([5]));
	await vi.waitFor(() => {
		nowMs += 100;
		expect(engine.health()).toEqual({ status: "stalled", sinceMs: 100 });
		nowMs -= 100;
	});
	nowMs += 100;
	const { signal } = new AbortController();
	await expect(hooks.probe(signal)).rejects.toThrow("gave no token for 100 ms");
	await expect(running).rejects.toMatchObject({ code: "DISCONNECTED" });
	// Without requests it looks well again, but it has to end.
	await expect(hooks.probe(signal)).rejects.toThrow("the engine is stuck");
	expect(engine.health()).toMatchObject({ status: "restarting" });
	hooks.onEvent!(exited);
	hooks.onEvent!({ type: "restarted", pid: 2, restarts: 1 });
	await vi.waitFor(() => expect(engine.health()).toEqual({ status: "healthy" }));
	await hooks.probe(signal);
	await engine.close();
});

it("lets a caller go at once and the engine go on to the first token of a decode request", async () => {
	const engine = await started();
	const stop = new AbortController();
	const decode = request({ disaggregation: { role: "decode", session }, sampling: { n: 2, temperature: 1 } });
	const running = collect(engine, decode, stop.signal);
	await untilAsked(1);
	stop.abort();
	expect((await running).map(({ index, finishReason }) => [index, finishReason])).toEqual([
		[0, "cancelled"],
		[1, "cancelled"],
	]);
	expect(asked[0]!.signal.aborted).toBe(false);
	let isDrained = false;
	const drained = engine.drain().then(() => {
		isDrained = true;
	});
	await Promise.resolve();
	expect(isDrained).toBe(false);
	asked[0]!.outputs.push(output([5]));
	await drained;
	expect(asked[0]!.signal.aborted).toBe(true);
	await engine.close();
});

it.each([
	["before it began", new AbortController(), true],
	["later", new AbortController(), false],
])("cancels any other request right away: %s", async (_, stop, isEarly) => {
	const engine = await started();
	if (isEarly) stop.abort();
	const running = collect(engine, request(), stop.signal);
	await untilAsked(1);
	stop.abort();
	expect((await running).at(-1)).toMatchObject({ finishReason: "cancelled" });
	expect(asked[0]!.signal.aborted).toBe(true);
	await engine.close();
});

it("reads on while its reader does not", async () => {
	const engine = await started();
	const answer = engine.generate(request(), createRequestContext())[Symbol.asyncIterator]();
	const first = answer.next();
	await untilAsked(1);
	const { outputs } = asked[0]!;
	for (let i = 0; i < 90; i++) outputs.push(output([i]));
	await first;
	await vi.waitFor(() => expect(outputs.size).toBe(0));
	await answer.return!();
	expect(asked[0]!.signal.aborted).toBe(true);
	await engine.close();
});

it.each([
	["an internal error of a sick engine", new DynError("INTERNAL", "CUDA error"), false, "DISCONNECTED"],
	["an internal error of a well engine", new DynError("INTERNAL", "assertion"), true, "INTERNAL"],
	["its shutdown", new DynError("INTERNAL", "EngineShutdown"), true, "DISCONNECTED"],
	["a stream that it dropped", new DynError("CANCELLED", "CANCELLED"), true, "DISCONNECTED"],
	["a refusal", new DynError("INVALID_ARGUMENT", "bad"), false, "INVALID_ARGUMENT"],
])("tells the death of the engine from a failed request: %s", async (_, error, isWell, code) => {
	const engine = await started();
	const running = collect(engine, request());
	await untilAsked(1);
	isReady = isWell;
	asked[0]!.outputs.fail(error);
	const thrown = await running.catch((each: unknown) => each as DynError);
	expect(thrown).toMatchObject({ code });
	// Frontends do not move what was cancelled anywhere down the chain of causes.
	for (let cause: unknown = thrown; cause; cause = (cause as Error).cause)
		expect(DynError.is(cause, "CANCELLED")).toBe(false);
	await engine.close();
});

it("hides the stop ids that shall not be seen when others shall", async () => {
	const engine = await started();
	const asking = request({ stop: { stopTokenIds: [9], visibleStopTokenIds: [8] } });
	const running = collect(engine, asking);
	await untilAsked(1);
	expect(asked[0]!.request.stop).toMatchObject({ stopTokenIds: [], visibleStopTokenIds: [9, 8] });
	for (const each of [output([1, 9]), output([9]), { ...output([], "stop"), stopTokenId: 9 }])
		asked[0]!.outputs.push(each);
	asked[0]!.outputs.end();
	// The first 9 was below min_tokens: the choice went on.
	expect((await running).flatMap(({ tokenIds }) => tokenIds)).toEqual([1, 9]);
	await engine.close();
});

it("refuses new requests while it drains, and ends what runs when it is closed", async () => {
	const engine = await started();
	const running = collect(engine, request());
	await untilAsked(1);
	void engine.drain();
	await expect(collect(engine, request())).rejects.toMatchObject({ code: "DRAINING" });
	await Promise.all([engine.close(), engine.close()]);
	expect((await running).at(-1)).toMatchObject({ finishReason: "cancelled" });
});
