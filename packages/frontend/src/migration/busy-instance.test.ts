// SPDX-License-Identifier: Apache-2.0
import { createGenerateRequest } from "@dyn/protocols";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Fleet, fold, frozen, whole } from "../__fixtures__/fleet.js";
import { foldEngine } from "../__fixtures__/fold-engine.js";
import { type Answer, signalled } from "../__fixtures__/served-model.js";

/** Silence after which a stream that was fast is left. */
const LIMIT_MS = 3000;
let fleet: Fleet;
let thaw: ReturnType<typeof signalled>;
beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
	thaw = signalled();
});
afterEach(async () => {
	thaw.reach();
	vi.useRealTimers();
	await fleet.close();
});

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const expected = (
	await fold(
		foldEngine(createGenerateRequest({ tokenIds: [1, 2, 3], stop: { maxTokens: 20, minTokens: 20 } })),
	)
).tokenIds;

/** Each output after `ms`, then frozen behind `outputs` of them. */
const slow = (ms: number, outputs: number): Answer =>
	async function* (request, context) {
		for await (const output of frozen(thaw.reached, outputs)(request, context)) {
			await sleep(ms);
			yield output;
		}
	};

describe("an instance that is silent for another reason", () => {
	it("is given stallMs more while a prompt that it had before holds its batch up", async () => {
		const silent: Answer = async function* () {
			await thaw.reached;
			yield* [];
		};
		fleet = await Fleet.create(2, slow(20, 5), whole, silent);
		const answer = fold(fleet.migrate());
		await pass(0);
		await fold(fleet.migrate()); // the turn of the other instance
		const prompt = fold(fleet.migrate({}, { instanceId: fleet.calls[0]!.id }));
		prompt.catch(() => {});
		await pass(5 * 20 + LIMIT_MS + 9_999);
		expect(fleet.calls).toHaveLength(3);
		await pass(1);
		expect(fleet.calls).toHaveLength(4);
		expect((await answer).tokenIds).toEqual(expected);
	});

	it("is given no more for a prompt that came when it was silent already", async () => {
		fleet = await Fleet.create(2, slow(20, 5), whole, frozen(thaw.reached));
		const answer = fold(fleet.migrate());
		await pass(5 * 20 + 1000);
		await fold(fleet.migrate());
		const prompt = fold(fleet.migrate({}, { instanceId: fleet.calls[0]!.id }));
		prompt.catch(() => {});
		await pass(LIMIT_MS - 1001);
		expect(fleet.calls).toHaveLength(3);
		await pass(1);
		expect(fleet.calls).toHaveLength(4);
		expect((await answer).tokenIds).toEqual(expected);
	});

	it("is given stallMs more while it talks to others: the request waits for its turn", async () => {
		const talks: Answer = async function* (request, context) {
			for await (const output of whole(request, context)) {
				await sleep(1000);
				yield output;
			}
		};
		fleet = await Fleet.create(2, slow(20, 5), whole, talks);
		const answer = fold(fleet.migrate());
		await pass(0);
		await fold(fleet.migrate());
		const neighbour = fold(fleet.migrate({}, { instanceId: fleet.calls[0]!.id }));
		await pass(5 * 20 + LIMIT_MS + 9_999);
		expect(fleet.calls).toHaveLength(3);
		await pass(1);
		expect((await answer).tokenIds).toEqual(expected);
		await pass(20_000);
		expect((await neighbour).tokenIds).toEqual(expected);
	});
});
