// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from "vitest";
import { delta, end, ServedModel } from "../__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create({ name: "other" });
});
afterEach(() => served.close());

it("a model that two endpoints serve is served until both are gone", async () => {
	const withdrawFirst = await served.publish();
	const { runtime } = served;
	const second = await runtime.endpoint("x.y.z").serve(async function* () {
		yield delta("from the second");
		yield end();
	});
	const { card } = runtime.models.list().find(({ card: { name } }) => name === "m")!;
	await served.start();
	const { withdraw: withdrawSecond } = await runtime.models.publish(card, second.instance);
	const answer = async () => {
		const response = await served.chat();
		if (response.status !== 200) return response.status;
		return ((await response.json()) as { choices: [{ message: { content: string } }] }).choices[0].message
			.content;
	};
	expect(await answer()).toBe("Hello you");
	// Cards are taken one after another: what came before is known too.
	await served.publish({ name: "third" });
	while ((await served.chat({ model: "third" })).status !== 200) await new Promise(setImmediate);

	await withdrawFirst();
	const answers = [await answer()];
	while (answers.at(-1) === "Hello you") answers.push(await answer());
	expect(answers.at(-1)).toBe("from the second");

	await withdrawSecond();
	while ((await answer()) !== 404) await new Promise(setImmediate);
	expect((await served.chat({ model: "other" })).status).toBe(200);
});
