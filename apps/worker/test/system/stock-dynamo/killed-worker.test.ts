// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answer, ask, follow } from "./ask.js";
import { Deployment, type Process, peersMissing } from "./deployment.js";
import { eventually, listed, metric } from "./observe.js";

const STREAMS = 8;
const TOKENS = 60;
/** Events of every stream before a worker is killed. */
const BEFORE = 5;

/** Eight different greedy stories. */
const stories = (model: string, tokens = TOKENS) =>
	Array.from({ length: STREAMS }, (_, index) => ({
		model,
		prompt: `Chapter ${index + 1}. Once upon a time`,
		temperature: 0,
		max_tokens: tokens,
		ignore_eos: true,
	}));

/** Streams all at once and kills `victim` as soon as every stream has begun. */
async function streamWhileKilling(
	frontend: Process,
	bodies: readonly Record<string, unknown>[],
	victim: Process,
): Promise<Answer[]> {
	let behind = bodies.length;
	let finished = 0;
	return Promise.all(
		bodies.map(async (body) => {
			const answer = await follow(frontend, body, (count) => {
				if (count !== BEFORE || --behind > 0) return;
				if (finished > 0) throw new Error(`${finished} streams ended before the worker was killed`);
				void victim.kill("SIGKILL");
			});
			finished++;
			return answer;
		}),
	);
}

describe.skipIf(peersMissing())("a worker killed in mid-stream", () => {
	let deployment: Deployment;
	beforeEach(async () => {
		deployment = await Deployment.start();
	});
	afterEach(() => deployment?.[Symbol.asyncDispose]());

	const twice = (start: () => Promise<Process>) => Promise.all([start(), start()]);
	/** A frontend lists a model when one of its workers is there. */
	const bothReached = (frontend: Process, workers: readonly Process[], model: string) =>
		eventually("both workers are asked", 30_000, async () => {
			await ask(frontend, { model, prompt: "Hi", max_tokens: 1 });
			const requests = workers.map((each) =>
				metric(each, "dynamo_component_requests_total", 'dynamo_endpoint="generate"'),
			);
			return (await Promise.all(requests)).every((count) => count > 0);
		});

	it.each([
		["the stock frontend", () => deployment.stockFrontend(["--migration-limit", "3"])],
		["our frontend", () => deployment.frontend()],
	])("ours behind %s: every text is that of an undisturbed run", async (_name, startFrontend) => {
		const [frontend, workers] = await Promise.all([startFrontend(), twice(() => deployment.worker("ours"))]);
		await listed(frontend, "ours");
		await bothReached(frontend, workers, "ours");
		const undisturbed = await Promise.all(stories("ours").map((body) => ask(frontend, body)));
		const answers = await streamWhileKilling(frontend, stories("ours"), workers[0]);
		expect(answers.map(({ text }) => text)).toEqual(undisturbed.map(({ text }) => text));
		for (const { finishReason, usage } of answers)
			expect([finishReason, usage!.completion_tokens]).toEqual(["length", TOKENS]);
		expect(
			await metric(frontend, "dynamo_frontend_model_migration_total", "ongoing_request"),
		).toBeGreaterThan(0);
	});

	it("stock ones behind our frontend: every answer has its tokens", async () => {
		const tokens = 300; // about 2 s
		const [frontend, workers] = await Promise.all([
			deployment.frontend(),
			twice(() => deployment.stockMocker("stock")),
		]);
		await listed(frontend, "stock");
		await bothReached(frontend, workers, "stock");
		const answers = await streamWhileKilling(frontend, stories("stock", tokens), workers[0]);
		for (const { finishReason, usage } of answers)
			expect([finishReason, usage!.completion_tokens]).toEqual(["length", tokens]);
		expect(
			await metric(frontend, "dynamo_frontend_model_migration_total", "ongoing_request"),
		).toBeGreaterThan(0);
	});
});
