// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import { afterEach, describe, expect, it } from "vitest";
import { CONTEXT_LENGTH, Fleet, failing, fold, frozen, whole } from "../__fixtures__/fleet.js";
import { foldEngine } from "../__fixtures__/fold-engine.js";
import { type Answer, aborted, delta, end, signalled } from "../__fixtures__/served-model.js";

let fleet: Fleet;
afterEach(() => fleet.close());

const broken = new DynError("DISCONNECTED", "broke off");
const undisturbed = (init: Partial<Parameters<typeof createGenerateRequest>[0]> = {}) =>
	fold(
		foldEngine(
			createGenerateRequest({ tokenIds: [1, 2, 3], stop: { maxTokens: 20, minTokens: 20 }, ...init }),
		),
	);

describe("a request whose instance fails", () => {
	it("before the first token is asked anew, as it was", async () => {
		fleet = await Fleet.create(2, failing(new DynError("UNAVAILABLE", "gone")));
		expect(await fold(fleet.migrate())).toEqual(await undisturbed());
		const [first, second] = fleet.calls;
		expect(second!.request).toEqual(first!.request);
		expect(second!.id).not.toBe(first!.id);
		expect(await fleet.counted()).toEqual({
			'total{model="m",migration_type="new_request"}': 1,
			'duration_seconds_count{model="m",migration_type="new_request",outcome="success"}': 1,
		});
	});

	it("in mid-stream goes on behind its tokens, byte for byte, under its own id", async () => {
		fleet = await Fleet.create(3, failing(broken, 7), failing(new DynError("DRAINING", "leaves"), 5));
		const context = createRequestContext({ id: "mine" });
		const answer = await fold(fleet.migrate({ output: { logprobs: 0 } }, { context }));
		const expected = await undisturbed({ output: { logprobs: 0 } });
		// How much of the prompt the instance that died had cached was lost with it.
		expect(answer).toEqual({ ...expected, usage: { ...expected.usage, cachedTokens: 0 } });
		expect(answer.logprobs).toHaveLength(20);
		expect(
			fleet.calls.map(({ request, context: { id } }) => [id, [...request.tokenIds], request.stop]),
		).toEqual([
			["mine", [1, 2, 3], expect.objectContaining({ maxTokens: 20, minTokens: 20 })],
			[
				"mine",
				[1, 2, 3, ...answer.tokenIds.slice(0, 7)],
				expect.objectContaining({ maxTokens: 13, minTokens: 13 }),
			],
			[
				"mine",
				[1, 2, 3, ...answer.tokenIds.slice(0, 12)],
				expect.objectContaining({ maxTokens: 8, minTokens: 8 }),
			],
		]);
		expect(fleet.calls.map(({ request }) => request.resumedTokens)).toEqual([0, 7, 12]);
		expect(new Set(fleet.calls.map(({ id }) => id)).size).toBe(3);
		expect(await fleet.counted()).toEqual({
			'total{model="m",migration_type="ongoing_request"}': 2,
			'duration_seconds_count{model="m",migration_type="ongoing_request",outcome="success"}': 2,
		});
	});

	it("keeps what the first instance said of its cache", async () => {
		const usage = { promptTokens: 3, completionTokens: 1, cachedTokens: 2 };
		fleet = await Fleet.create(2, async function* (request) {
			for (const output of foldEngine(request)) {
				yield { ...output, usage };
				break;
			}
			throw broken;
		});
		expect((await fold(fleet.migrate())).usage).toEqual({
			promptTokens: 3,
			completionTokens: 20,
			cachedTokens: 2,
		});
	});

	it("does not ask for fewer than no tokens at least", async () => {
		fleet = await Fleet.create(2, failing(broken, 7));
		await fold(fleet.migrate({ stop: { maxTokens: 20, minTokens: 2 } }));
		expect(fleet.calls[1]!.request.stop).toMatchObject({ maxTokens: 13, minTokens: 0 });
	});

	it("leaves the length to the engine when the client did not limit it", async () => {
		fleet = await Fleet.create(2, failing(broken, 7));
		await fold(fleet.migrate({ stop: { minTokens: 20 } }));
		expect(fleet.calls[1]!.request.stop).toMatchObject({ maxTokens: null, minTokens: 13 });
	});

	it("ends for length without a call when only the reason is missing", async () => {
		const stop = { maxTokens: 7, minTokens: 7 };
		fleet = await Fleet.create(2, async function* (request) {
			for (const output of foldEngine(request, { lateFinish: true })) if (!output.finishReason) yield output;
			throw broken;
		});
		const answer = await fold(fleet.migrate({ stop }));
		expect(answer).toEqual({
			...(await undisturbed({ stop })),
			usage: { promptTokens: 3, completionTokens: 7, cachedTokens: 0 },
		});
		expect(fleet.calls).toHaveLength(1);
	});

	it("ends for length where the context does", async () => {
		const tokenIds = new Array(CONTEXT_LENGTH - 4).fill(1);
		fleet = await Fleet.create(2, failing(broken, 4));
		const answer = await fold(fleet.migrate({ tokenIds, stop: { minTokens: 20 } }));
		expect([answer.tokenIds.length, answer.finishReason, fleet.calls.length]).toEqual([4, "length", 1]);
	});

	it("is whole when nothing but the end of the stream is missing", async () => {
		fleet = await Fleet.create(2, async function* (request) {
			yield* foldEngine(request);
			throw broken;
		});
		expect(await fold(fleet.migrate())).toEqual(await undisturbed());
		expect(fleet.calls).toHaveLength(1);
	});

	it("moves on when an instance ends an answer early, or gives up what nobody cancelled", async () => {
		const early: Answer = async function* (request) {
			for (const output of [...foldEngine(request)].slice(0, 3)) yield output;
		};
		const givenUp: Answer = async function* (request) {
			for (const output of [...foldEngine(request)].slice(0, 3)) yield output;
			yield end("cancelled");
		};
		fleet = await Fleet.create(3, early, givenUp);
		expect((await fold(fleet.migrate())).tokenIds).toEqual((await undisturbed()).tokenIds);
		expect(fleet.calls).toHaveLength(3);
	});

	it("continues samples too", async () => {
		fleet = await Fleet.create(2, failing(broken, 7));
		const answer = await fold(fleet.migrate({ sampling: { temperature: 1, seed: 5 } }));
		expect(answer.tokenIds).toHaveLength(20);
		expect(fleet.calls[1]!.request.sampling).toMatchObject({ temperature: 1, seed: 5 });
	});
});

describe("a request stays with its instance", () => {
	const fails = async (
		script: Answer,
		error: unknown,
		...[request, call]: Parameters<Fleet["migrate"]>
	): Promise<number> => {
		fleet = await Fleet.create(6, script, script, script, script, script);
		await expect(fold(fleet.migrate(request, call))).rejects.toBe(error);
		return fleet.calls.length;
	};

	it("when the failure is its own", async () => {
		const invalid = new DynError("INVALID_ARGUMENT", "no");
		expect(await fails(failing(invalid), invalid)).toBe(1);
	});

	it("when migration is off", async () => {
		expect(await fails(failing(broken), broken, {}, { options: { limit: 0 } })).toBe(1);
		expect(await fleet.counted()).toEqual({});
	});

	it("when it names the instance", async () => {
		fleet = await Fleet.create(2, failing(broken));
		const { id } = fleet.served[1]!.instance;
		await expect(fold(fleet.migrate({}, { instanceId: id }))).rejects.toBe(broken);
		expect(fleet.calls.map((call) => call.id)).toEqual([id]);
	});

	it("when an overloaded one had begun already, but not before", async () => {
		const overloaded = new DynError("OVERLOADED", "full");
		expect(await fails(failing(overloaded, 1), overloaded)).toBe(1);
		await fleet.close();
		fleet = await Fleet.create(2, failing(overloaded));
		expect((await fold(fleet.migrate())).finishReason).toBe("length");
	});

	it("when a logits processor had begun: what it remembers died with the instance", async () => {
		const logitsProcessors = [{ name: "counts", args: null }];
		expect(await fails(failing(broken, 1), broken, { logitsProcessors })).toBe(1);
		await fleet.close();
		fleet = await Fleet.create(2, failing(broken));
		expect((await fold(fleet.migrate({ logitsProcessors }))).finishReason).toBe("length");
	});

	it.each([
		["a constraint", { guided: { kind: "regex", pattern: "a+" } }],
		["beams", { sampling: { beamWidth: 2 } }],
		["candidates to choose from", { sampling: { bestOf: 2 } }],
	] as const)("when its answer has %s, which begin with an answer", async (_, request) => {
		expect(await fails(failing(broken, 1), broken, request)).toBe(1);
		await fleet.close();
		fleet = await Fleet.create(2, failing(broken));
		expect((await fold(fleet.migrate(request))).finishReason).toBe("length");
	});

	it("unless whoever takes over replays its constraint", async () => {
		fleet = await Fleet.create(2, failing(broken, 4));
		fleet.resumesGuided = true;
		const guided = { kind: "regex", pattern: "a+" } as const;
		expect((await fold(fleet.migrate({ guided }))).finishReason).toBe("length");
		expect(fleet.calls[1]!.request).toMatchObject({ guided, resumedTokens: 4 });
	});

	it("when several of its choices had begun, but not before", async () => {
		const choices: Answer = async function* () {
			yield delta("a", { index: 0 });
			yield delta("b", { index: 1 });
			throw broken;
		};
		const request = { sampling: { n: 2 } };
		expect(await fails(choices, broken, request)).toBe(1);
		await fleet.close();
		fleet = await Fleet.create(2, failing(broken), async function* () {
			yield end("length", 1);
			yield end("length", 0);
		});
		const outputs = [];
		for await (const { index } of fleet.migrate(request)) outputs.push(index);
		expect(outputs).toEqual([1, 0]);
	});

	it("when prompt and answer exceed the context, which is counted", async () => {
		const tokenIds = new Array(CONTEXT_LENGTH - 4).fill(1);
		expect(await fails(failing(broken, 5), broken, { tokenIds })).toBe(1);
		expect(await fleet.counted()).toEqual({ 'max_seq_len_exceeded_total{model="m"}': 1 });
	});

	it("after as many moves as the limit allows", async () => {
		expect(await fails(failing(broken, 1), broken)).toBe(4);
		expect(new Set(fleet.calls.map(({ id }) => id)).size).toBe(4);
		expect(await fleet.counted()).toMatchObject({ 'total{model="m",migration_type="ongoing_request"}': 3 });
	});

	it("when nobody else is there, and fails with what happened there", async () => {
		fleet = await Fleet.create(1, failing(broken, 2));
		await expect(fold(fleet.migrate())).rejects.toBe(broken);
		expect(fleet.calls).toHaveLength(1);
		expect(await fleet.counted()).toEqual({
			'total{model="m",migration_type="ongoing_request"}': 1,
			'duration_seconds_count{model="m",migration_type="ongoing_request",outcome="failure"}': 1,
		});
	});

	it("rather than go to an instance of another model", async () => {
		fleet = await Fleet.create(2, failing(broken, 2));
		fleet.instances.delete(fleet.served[1]!.instance.id);
		await expect(fold(fleet.migrate())).rejects.toBe(broken);
		expect(fleet.calls).toHaveLength(1);
	});
});

describe("cancellation", () => {
	it("ends a retry at once, reaches its instance and is not retried", async () => {
		const [began, ended] = [signalled(), signalled()];
		const hangs: Answer = async function* (request, context) {
			began.reach();
			await aborted(context.signal);
			ended.reach();
			yield* failing(broken)(request, context);
		};
		fleet = await Fleet.create(3, failing(broken, 2), hangs);
		const gone = new AbortController();
		const context = createRequestContext({ signal: gone.signal });
		const answer = fold(fleet.migrate({}, { context }));
		await began.reached;
		gone.abort(new DynError("CANCELLED", "the client went away"));
		await expect(answer).rejects.toThrow("the client went away");
		await ended.reached;
		expect(fleet.calls).toHaveLength(2);
		expect(await fleet.counted()).toMatchObject({
			'duration_seconds_count{model="m",migration_type="ongoing_request",outcome="cancelled"}': 1,
		});
	});

	it.each(["waits", "writes"])(
		"does not wait for an instance that does not react: the reader %s",
		async (reader) => {
			const thaw = signalled();
			fleet = await Fleet.create(1, frozen(thaw.reached, 1));
			const gone = new AbortController();
			const answer = fleet.migrate({}, { context: createRequestContext({ signal: gone.signal }) });
			expect((await answer.next()).done).toBe(false);
			if (reader === "writes") gone.abort();
			const next = answer.next();
			gone.abort();
			await expect(next).rejects.toMatchObject({ code: "CANCELLED" });
			thaw.reach();
		},
	);

	it("happens to the instance when the reader leaves", async () => {
		let left = false;
		fleet = await Fleet.create(1, async function* (request, context) {
			try {
				yield* whole(request, context);
			} finally {
				await new Promise(setImmediate);
				left = true;
			}
		});
		for await (const _ of fleet.migrate()) break;
		expect(left).toBe(true);
		expect(fleet.calls[0]!.context.signal.aborted).toBe(true);
	});
});
