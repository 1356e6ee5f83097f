// SPDX-License-Identifier: Apache-2.0
import { setImmediate as turn } from "node:timers/promises";
import { cancellationError, DynError } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fold, frozen } from "../__fixtures__/fleet.js";
import { foldEngine } from "../__fixtures__/fold-engine.js";
import { type Answer, delta, end, eventsOf, ServedModel, signalled } from "../__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create({ maxChoices: 1 });
});
afterEach(() => served.close());

const broken = new DynError("DISCONNECTED", "broke off");
/** Answers of the first call, of the second, and so on, at whatever instance. */
const inTurn = (...answers: Answer[]): Answer => {
	let calls = 0;
	return (request, context) => answers[calls++]!(request, context);
};

describe("an answer that two instances gave", () => {
	it("stops at a string across the seam, holds half characters back there, and counts everything once", async () => {
		await served.publish();
		const metrics = createPrometheusMetrics();
		await served.start({ metrics });
		const [half, otherHalf] = Buffer.from("ü");
		served.answer = inTurn(
			async function* () {
				yield delta("one ");
				yield delta("", { tokenIds: [half!] });
				throw broken;
			},
			async function* () {
				yield delta("", { tokenIds: [otherHalf!] });
				yield delta(" ST");
				yield end("cancelled");
			},
			async function* () {
				yield delta("OP two");
				yield delta(" never read");
			},
		);
		await served.publish();
		while (
			((await (await fetch(`${served.address}/health`)).json()) as { instances: [] }).instances.length < 3
		)
			await turn();
		const response = await served.chat({
			stream: true,
			stop: "STOP",
			stream_options: { include_usage: true },
		});
		const events = eventsOf(await response.text());
		expect(events.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe("one ü ");
		expect(events.filter((event) => event.error)).toEqual([]);
		expect(events.at(-2).choices[0].finish_reason).toBe("stop");
		expect(events.at(-1).usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 11 }); // " two" is nobody's
		expect(served.seen.map(({ tokenIds }) => Buffer.from(tokenIds).toString("latin1"))).toEqual([
			"hi",
			"hione \u00c3",
			"hione \u00c3\u00bc ST",
		]);
		const text = await metrics.expose();
		expect(text).toContain(
			'dynamo_frontend_model_migration_total{model="m",migration_type="ongoing_request"} 2',
		);
		expect(text).toContain('dynamo_frontend_model_migration_limit{model="m"} 3');
	});

	it("has the log-probabilities of both", async () => {
		await served.publish();
		await served.start();
		const withLogprob = (text: string, logprob: number) =>
			delta(text, { logprobs: [{ tokenId: text.charCodeAt(0), logprob, top: [] }] });
		served.answer = inTurn(
			async function* () {
				yield withLogprob("a", -1);
				throw broken;
			},
			async function* () {
				yield withLogprob("b", -2);
				yield end();
			},
		);
		expect(await (await served.complete({ logprobs: 0 })).json()).toMatchObject({
			choices: [
				{ text: "ab", logprobs: { tokens: ["a", "b"], token_logprobs: [-1, -2], text_offset: [0, 1] } },
			],
		});
	});

	it("comes when the first one is silent for longer than the frontend is told to wait", async () => {
		const thaw = signalled();
		await served.publish();
		await served.start({ migration: { firstTokenMs: 10 } });
		served.answer = inTurn(frozen(thaw.reached), async function* () {
			yield delta("here");
			yield end();
		});
		expect(await (await served.chat()).json()).toMatchObject({ choices: [{ message: { content: "here" } }] });
		thaw.reach();
	});

	it("is none when the client named the instance", async () => {
		const { id } = await served.addInstance();
		await served.start();
		served.answer = () => {
			throw broken;
		};
		const response = await served.chat({ nvext: { backend_instance_id: String(id) } });
		expect([response.status, served.seen.length]).toEqual([502, 1]);
	});

	it("is none when migration is off", async () => {
		await served.publish();
		await served.start({ migration: { limit: 0 } });
		served.answer = () => {
			throw broken;
		};
		expect([(await served.chat()).status, served.seen.length]).toEqual([502, 1]);
	});
});

it("loses no stream of 64 when one of two instances dies under them", async () => {
	const paced: Answer = async function* (request, { signal }) {
		for (const output of foldEngine(request)) {
			await turn();
			if (signal.aborted) throw cancellationError(signal);
			yield output;
		}
	};
	served.answer = paced;
	let doomed = 0;
	const second = await served.addInstance({}, async function* (request, context) {
		for await (const output of paced(request, context)) {
			yield output;
			if (++doomed === 300) void second.close();
		}
	});
	await served.start();
	const prompts = Array.from({ length: 64 }, (_, i) => [97 + (i % 26), 65 + (i >> 2), 32]);
	const stop = { max_tokens: 40, min_tokens: 40 };
	const answers = await Promise.all(
		prompts.map(async (prompt) => {
			const response = await served.complete({ prompt, ...stop, stream: true });
			return eventsOf(await response.text()).map(({ choices, error }) => error ?? choices[0]?.text ?? "");
		}),
	);
	const expected = await Promise.all(
		prompts.map((tokenIds) =>
			fold(foldEngine(createGenerateRequest({ tokenIds, stop: { maxTokens: 40, minTokens: 40 } }))),
		),
	);
	expect(answers.map((pieces) => pieces.join(""))).toEqual(
		expected.map(({ tokenIds }) => Buffer.from(tokenIds).toString()),
	);
	expect(served.seen.length).toBeGreaterThan(64);
});

describe("choices beyond those that a worker makes of one request", () => {
	it("are requests of their own, each with its seed and its id", async () => {
		const ids: string[] = [];
		await served.start();
		served.answer = async function* (request, { id }) {
			ids.push(id);
			const letter = String.fromCharCode(request.tokenIds[0]!);
			yield delta(`${letter}${request.sampling.seed}`);
			const usage = { promptTokens: 1, completionTokens: 2, cachedTokens: 1 };
			yield { ...end("length"), usage };
		};
		const response = await served.complete({ prompt: ["x", "y"], n: 3, temperature: 1, seed: 5 });
		const { choices, usage } = (await response.json()) as { choices: { text: string }[]; usage: object };
		expect(choices.map(({ text }) => text)).toEqual(["x5", "x6", "x7", "y5", "y6", "y7"]);
		expect(usage).toMatchObject({
			prompt_tokens: 2,
			completion_tokens: 12,
			prompt_tokens_details: { cached_tokens: 2 },
		});
		expect(served.seen.map(({ sampling }) => sampling.n)).toEqual([1, 1, 1, 1, 1, 1]);
		expect(new Set(ids).size).toBe(6);
	});

	it("take as many as fit into each", async () => {
		await served.publish({ name: "two", maxChoices: 2 });
		await served.start();
		served.answer = async function* ({ sampling }) {
			for (let index = 0; index < sampling.n!; index++) {
				yield delta(`${sampling.seed! + index}`, { index });
				yield end("length", index);
			}
		};
		const response = await served.complete({ model: "two", n: 5, temperature: 1, seed: 0 });
		const { choices } = (await response.json()) as { choices: { text: string }[] };
		expect(choices.map(({ text }) => text)).toEqual(["0", "1", "2", "3", "4"]);
		expect(served.seen.map(({ sampling }) => sampling.n)).toEqual([2, 2, 1]);
	});

	it("migrate one by one", async () => {
		await served.publish({ maxChoices: 1 });
		await served.start();
		let failures = 2;
		served.answer = async function* (request) {
			yield delta("a");
			if (request.tokenIds.length === 2 && failures-- > 0) throw broken;
			yield end();
		};
		const response = await served.complete({ n: 2, temperature: 1 });
		const { choices } = (await response.json()) as { choices: { text: string }[] };
		expect(choices.map(({ text }) => text)).toEqual(["aa", "aa"]);
	});
});
