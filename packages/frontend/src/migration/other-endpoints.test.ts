// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answer, delta, end, ServedModel } from "../__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create({ logitsProcessors: ["known"] });
});
afterEach(() => served.close());

const breaks: Answer = async function* () {
	yield delta("a");
	throw new DynError("DISCONNECTED", "broke off");
};
const continues: Answer = async function* (request) {
	yield delta(`|${Buffer.from(request.tokenIds).toString()}`);
	yield end();
};
/** Takes the id that this process has at an endpoint: the next instance there gets one as if it were of another process. */
const pretendOtherProcess = (path: string) => served.runtime.endpoint(path).serve(async function* () {});
/** One more endpoint that serves "m". */
const serveAt = async (path: string, card: Partial<ModelCard> = {}) => {
	await pretendOtherProcess(path);
	await served.addInstance(card, continues, path);
	served.answer = breaks;
	await served.start();
};
const ask = async (extra: object = {}) => {
	const response = await served.complete(extra);
	const { choices } = (await response.json()) as { choices?: [{ text: string }] };
	return choices?.[0].text ?? response.status;
};

describe("a request whose endpoint has no instance left", () => {
	it.each(["a.other.c", "another.b.c", "a.b.other"])(
		"goes on at %s, whose card says the same",
		async (path) => {
			await serveAt(path);
			expect(await ask()).toBe("a|hia");
		},
	);

	it.each<[string, Partial<ModelCard>]>([
		["another context", { contextLength: 99 }],
		["another source", { source: "n" }],
		["other blocks", { kvBlockSize: 16 }],
		["another role", { workerType: "decode" }],
		["another template", { chatTemplatePath: "x.jinja" }],
	])("fails rather than go to a card with %s", async (_, card) => {
		await serveAt("a.other.c", { ...card, ...(await served.templateOf(card)) });
		expect(await ask()).toBe(502);
	});

	it("fails rather than go where its logits processor is not known", async () => {
		await serveAt("a.other.c", { logitsProcessors: [] });
		served.answer = () => {
			throw new DynError("UNAVAILABLE", "gone");
		};
		expect(await ask({ nvext: { logits_processors: [{ name: "known" }] } })).toBe(503);
		expect(await ask()).toBe("|hi");
	});

	it("fails rather than go to another endpoint of the process that failed it", async () => {
		await served.addInstance({}, continues, "a.other.c");
		served.answer = breaks;
		await served.start();
		expect(await ask()).toBe(502);
	});

	it("begins elsewhere when its instance is gone and its card is not", async () => {
		const { close } = await served.addInstance({ name: "lost" });
		await served.addInstance({ name: "lost" }, continues, "a.other.c");
		await served.start();
		await close();
		expect(await ask({ model: "lost" })).toBe("|hi");
	});
});

it("instances of one endpoint whose cards differ never share a request", async () => {
	await served.addInstance({ contextLength: 50 }, continues);
	served.answer = breaks;
	await served.start();
	expect([await ask(), await ask(), served.seen.length]).toEqual([502, 502, 2]);
});
