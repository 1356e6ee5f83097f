// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { fold, whole } from "../__fixtures__/fleet.js";
import type { Answer } from "../__fixtures__/served-model.js";
import { expected, LIMIT_MS, pass, silence, sleep } from "../__fixtures__/silence.js";

const { create, freezing, slow } = silence();

describe("an instance that is silent for another reason", () => {
	it("is given stallMs more while a prompt that it had before holds its batch up", async () => {
		const fleet = await create(2, slow(20, 5), whole, freezing());
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
		const fleet = await create(2, slow(20, 5), whole, freezing());
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
		const fleet = await create(2, slow(20, 5), whole, talks);
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
