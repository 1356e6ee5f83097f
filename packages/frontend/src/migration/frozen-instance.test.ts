// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { describe, expect, it, vi } from "vitest";
import { type Fleet, failing, fold, whole } from "../__fixtures__/fleet.js";
import { foldEngine } from "../__fixtures__/fold-engine.js";
import { type Answer, delta } from "../__fixtures__/served-model.js";
import { expected, LIMIT_MS, pass, silence } from "../__fixtures__/silence.js";

const { create, freezing, slow, thaw } = silence();
let fleet: Fleet;
/** Ids of the instances that were called, and whether they were asked for health. */
const called = () => fleet.calls.map(({ id, request }) => [id, request.healthCheck]);
const idsOf = (indexes: readonly number[]) => indexes.map((index) => fleet.calls[index]!.id);

describe("an instance that falls silent", () => {
	it("before its first token is left after firstTokenMs", async () => {
		fleet = await create(2, freezing());
		const answer = fold(fleet.migrate());
		await pass(59_999);
		expect(fleet.calls).toHaveLength(1);
		await pass(1);
		expect((await answer).tokenIds).toEqual(expected);
		expect(fleet.calls[1]!.id).not.toBe(fleet.calls[0]!.id);
		expect(fleet.calls[0]!.context.signal.aborted).toBe(true);
	});

	it("in mid-stream is left after three seconds when it was fast, and what it says late is dropped", async () => {
		fleet = await create(2, slow(20, 5));
		const answer = fold(fleet.migrate());
		await pass(5 * 20 + LIMIT_MS - 1);
		expect(fleet.calls).toHaveLength(1);
		await pass(1);
		expect(fleet.calls).toHaveLength(2);
		thaw();
		await pass(1000);
		expect((await answer).tokenIds).toEqual(expected);
	});

	it("is given ten times its own longest silence, its first included, and stallMs at most", async () => {
		for (const [pause, limit] of [
			[600, 6000],
			[5000, 10_000],
		] as const) {
			fleet = await create(2, slow(pause, 2));
			const answer = fold(fleet.migrate());
			await pass(2 * pause + limit - 1);
			expect(fleet.calls).toHaveLength(1);
			await pass(1);
			expect((await answer).tokenIds).toEqual(expected);
			thaw();
			await pass(pause);
		}
	});

	it("is waited for while its reader takes its time", async () => {
		fleet = await create(2);
		const outputs = [];
		for await (const { tokenIds } of fleet.migrate()) {
			outputs.push(...tokenIds);
			await pass(100_000);
		}
		expect([outputs, fleet.calls.length]).toEqual([expected, 1]);
	});

	it("is waited for when nobody else is there, until somebody is", async () => {
		fleet = await create(1, slow(20, 5));
		const answer = fold(fleet.migrate());
		await pass(600_000);
		expect(called()).toEqual([[fleet.served[0]!.instance.id, false]]);
		await fleet.add();
		await pass(10_000);
		expect((await answer).tokenIds).toEqual(expected);
		expect(fleet.calls[1]!.id).toBe(fleet.served[1]!.instance.id);
	});

	it("is not left by a request that may not move, unless discovery has given it up too", async () => {
		fleet = await create(2, slow(20, 5));
		const answer = fold(fleet.migrate({}, { options: { limit: 0 } }));
		answer.catch(() => {});
		await pass(600_000);
		expect(fleet.calls).toHaveLength(1);
		const { id } = fleet.calls[0]!;
		const leaving = fleet.served.find(({ instance }) => instance.id === id)!.drain();
		await pass(10_000);
		await expect(answer).rejects.toMatchObject({
			code: "DISCONNECTED",
			message: expect.stringContaining(`${id}`),
		});
		thaw();
		await pass(1000);
		await leaving;
	});

	it("gets all of stallMs when it leaves discovery: it may be finishing its work slowly", async () => {
		fleet = await create(1, slow(20, 5));
		const answer = fold(fleet.migrate());
		await pass(100);
		const leaving = fleet.served[0]!.drain();
		await pass(10_000);
		thaw();
		await pass(1000);
		expect((await answer).tokenIds).toEqual(expected);
		await leaving;
	});

	it("gets firstTokenMs until its first token, whatever else it says", async () => {
		fleet = await create(2, async function* (request, context) {
			yield delta("");
			yield* freezing()(request, context);
		});
		const answer = fold(fleet.migrate());
		await pass(59_999);
		expect(fleet.calls).toHaveLength(1);
		await pass(1);
		expect((await answer).tokenIds).toEqual(expected);
	});

	it("after its last word has answered", async () => {
		fleet = await create(1, async function* (request, context) {
			yield* foldEngine(request);
			yield* freezing()(request, context);
		});
		const answer = fold(fleet.migrate());
		await pass(LIMIT_MS);
		expect((await answer).tokenIds).toEqual(expected);
	});
});

describe("a frozen instance", () => {
	const ask = () => fold(fleet.migrate());

	it("gets no request until a health check sent to it was answered whole", async () => {
		const unwell: Answer[] = [
			freezing(),
			failing(new DynError("DISCONNECTED", "reset")),
			async function* (request) {
				yield* [...foldEngine(request)].map((output) => ({ ...output, finishReason: null }));
			},
		];
		fleet = await create(
			2,
			slow(20, 5),
			whole,
			unwell[0]!,
			whole,
			whole,
			whole,
			whole,
			unwell[1]!,
			unwell[2]!,
		);
		const first = ask();
		await pass(5 * 20 + LIMIT_MS);
		await first;
		const [sick, fine] = idsOf([0, 1]);
		expect(sick).not.toBe(fine);
		await pass(1000); // the first probe freezes too
		expect(called()[2]).toEqual([sick, true]);
		const probe = fleet.calls[2]!.request;
		expect([probe.tokenIds, probe.stop.maxTokens, probe.sampling.temperature]).toEqual([[256], 1, 0]);
		await Promise.all([ask(), ask()]);
		expect(idsOf([3, 4])).toEqual([fine, fine]);
		await pass(10_000 + 1999); // its deadline, and the next pause
		await Promise.all([ask(), ask()]);
		expect(idsOf([5, 6])).toEqual([fine, fine]);
		await pass(1);
		expect(called()[7]).toEqual([sick, true]);
		await pass(4000);
		expect(called()[8]).toEqual([sick, true]);
		await ask();
		expect(idsOf([9])).toEqual([fine]);
		await pass(8000); // this one is answered
		expect(called()[10]).toEqual([sick, true]);
		await Promise.all([ask(), ask()]);
		expect(new Set(idsOf([11, 12]))).toEqual(new Set([sick, fine]));
		await pass(100_000);
		expect(fleet.calls).toHaveLength(13);
	});

	it("gets its request back when everybody else fails it, after a health check; what it says late is dropped", async () => {
		fleet = await create(2, slow(20, 5), failing(new DynError("DISCONNECTED", "reset"), 3));
		const answer = ask();
		await pass(5 * 20 + LIMIT_MS);
		const [sick, fine] = idsOf([0, 1]);
		expect(called()).toEqual([
			[sick, false],
			[fine, false],
			[sick, true],
			[sick, false],
		]);
		expect(fleet.calls[3]!.request.resumedTokens).toBe(8);
		thaw();
		await pass(1000);
		expect((await answer).tokenIds).toEqual(expected);
		expect(vi.getTimerCount()).toBe(0);
	});

	it("does not get it back when it does not answer: the request fails with what happened elsewhere", async () => {
		const reset = new DynError("DISCONNECTED", "reset");
		fleet = await create(2, slow(20, 5), failing(reset, 3), freezing());
		const answer = ask();
		answer.catch(() => {});
		await pass(5 * 20 + LIMIT_MS + 9999);
		expect(called().map(([, isCheck]) => isCheck)).toEqual([false, false, true]);
		await pass(1);
		await expect(answer).rejects.toBe(reset);
	});

	it("keeps no cancelled request waiting for its health check", async () => {
		fleet = await create(2, slow(20, 5), failing(new DynError("DISCONNECTED", "reset"), 3), freezing());
		const gone = new AbortController();
		const answer = fold(fleet.migrate({}, { context: createRequestContext({ signal: gone.signal }) }));
		answer.catch(() => {});
		await pass(5 * 20 + LIMIT_MS + 100);
		gone.abort();
		await expect(answer).rejects.toMatchObject({ code: "CANCELLED" });
	});

	it("is asked by one probe at a time, however many streams it held, at most every 30 s", async () => {
		const fails = failing(new DynError("UNAVAILABLE", "no"));
		fleet = await create(2, ...new Array<Answer>(100).fill(fails));
		const { instance } = fleet.served[0]!;
		for (let streams = 0; streams < 3; streams++) fleet.readmission.quarantine(fleet.model, instance);
		await pass(1000 + 2000 + 4000 + 8000 + 16_000);
		expect(called()).toEqual(new Array(5).fill([instance.id, true]));
		await pass(5 * 30_000);
		expect(called()).toEqual(new Array(10).fill([instance.id, true]));
	});

	it("is forgotten when it stays away from discovery, or the frontend closes", async () => {
		fleet = await create(2);
		const [leaving, staying] = fleet.served.map(({ instance }) => instance);
		for (const instance of [leaving!, staying!]) fleet.readmission.quarantine(fleet.model, instance);
		await fleet.served[0]!.close();
		await pass(60_000);
		expect([called(), vi.getTimerCount()]).toEqual([[[staying!.id, true]], 1]);
		await pass(600_000);
		expect([called(), vi.getTimerCount()]).toEqual([[[staying!.id, true]], 0]);
		fleet.readmission.quarantine(fleet.model, staying!);
		fleet.readmission.close();
		await pass(0);
		fleet.readmission.quarantine(fleet.model, staying!);
		expect(vi.getTimerCount()).toBe(0);
		await pass(60_000);
		expect(fleet.calls).toHaveLength(1);
	});
});
