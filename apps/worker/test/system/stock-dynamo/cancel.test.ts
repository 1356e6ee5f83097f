// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { post } from "./ask.js";
import { Deployment, type Process, peersMissing } from "./deployment.js";
import { eventually, listed, metric } from "./observe.js";

/** Longest time from a client's leaving to an idle worker, ms. */
const LIMIT_MS = 2000;
const CANCELLATIONS = "dynamo_component_cancellation_total";
const INFLIGHT = "dynamo_component_inflight_requests";
const LABEL = 'dynamo_endpoint="generate"';

/** Leaves when an answer has begun. */
async function leaveAfterFirstToken(frontend: Process, body: Record<string, unknown>): Promise<void> {
	const leave = new AbortController();
	const reader = (await post(frontend, { ...body, stream: true }, leave.signal)).body!.getReader();
	let read = "";
	const decoder = new TextDecoder();
	while (!/"(content|text)":"[^"]/.test(read)) {
		const { value, done } = await reader.read();
		if (done) throw new Error(`no token: ${read}`);
		read += decoder.decode(value);
	}
	leave.abort();
}

/** Leaves as soon as the worker has the request. */
async function leaveBeforeFirstToken(
	frontend: Process,
	worker: Process,
	body: Record<string, unknown>,
): Promise<void> {
	const leave = new AbortController();
	const answer = post(frontend, body, leave.signal)
		.then((response) => response.text())
		.then(
			(text) => Promise.reject(new Error(`answered before the client left: ${text}`)),
			(error) => error,
		);
	await eventually(
		"the worker has the request",
		10_000,
		async () => (await metric(worker, INFLIGHT, LABEL)) === 1,
	);
	leave.abort();
	expect((await answer).name).toBe("AbortError");
}

describe.skipIf(peersMissing())("a client that leaves", () => {
	let deployment: Deployment;
	beforeAll(async () => {
		deployment = await Deployment.start();
	});
	afterAll(() => deployment?.[Symbol.asyncDispose]());

	describe("the stock frontend frees our worker", () => {
		let worker: Process;
		let frontend: Process;
		beforeAll(async () => {
			[worker, frontend] = await Promise.all([deployment.worker("ours"), deployment.stockFrontend()]);
			await listed(frontend, "ours");
		});

		const freed = async (cancellations: number) => {
			await eventually("the engine is idle and the cancellation counted", LIMIT_MS, async () => {
				const busy = await Promise.all([
					metric(worker, "dyn_engine_running_sequences"),
					metric(worker, "dyn_engine_waiting_sequences"),
					metric(worker, "dyn_engine_active_kv_blocks"),
					metric(worker, INFLIGHT),
				]);
				return busy.every((each) => each === 0) && (await metric(worker, CANCELLATIONS)) === cancellations;
			});
		};

		it.each(["chat", "completions"])("after the first token of a %s stream", async (kind) => {
			const before = await metric(worker, CANCELLATIONS);
			const tokens = await metric(worker, "dyn_engine_generated_tokens_total");
			const input =
				kind === "chat" ? { messages: [{ role: "user", content: "Tell me a story." }] } : { prompt: "Once" };
			const body = { model: "ours", max_tokens: 4000, ignore_eos: true, ...input };
			await leaveAfterFirstToken(frontend, body);
			await freed(before + 1);
			expect((await metric(worker, "dyn_engine_generated_tokens_total")) - tokens).toBeLessThan(1000);
		});

		it.each([false, true])("before the first token (stream: %s)", async (stream) => {
			const before = await metric(worker, CANCELLATIONS);
			const tokens = await metric(worker, "dyn_engine_generated_tokens_total");
			// Different beginnings: what is in the KV cache would be answered at once.
			const prompt = `${stream} ${"word ".repeat(6000)}`;
			await leaveBeforeFirstToken(frontend, worker, { model: "ours", prompt, max_tokens: 20, stream });
			await freed(before + 1);
			expect(await metric(worker, "dyn_engine_generated_tokens_total")).toBe(tokens);
		});
	});

	describe("our frontend frees a stock worker", () => {
		let worker: Process;
		let frontend: Process;
		beforeAll(async () => {
			[worker, frontend] = await Promise.all([deployment.stockMocker("stock"), deployment.frontend()]);
			await listed(frontend, "stock");
		});

		const freed = (cancellations: number) =>
			eventually("the worker is idle and the cancellation counted", LIMIT_MS, async () => {
				const busy = await Promise.all([
					metric(worker, "vllm:num_requests_running"),
					metric(worker, "vllm:num_requests_waiting"),
					metric(worker, "vllm:kv_cache_usage_perc"),
					metric(worker, INFLIGHT),
				]);
				return busy.every((each) => each === 0) && (await metric(worker, CANCELLATIONS)) === cancellations;
			});

		it.each(["chat", "completions"])("after the first token of a %s stream", async (kind) => {
			const before = await metric(worker, CANCELLATIONS);
			const input =
				kind === "chat" ? { messages: [{ role: "user", content: "Tell me a story." }] } : { prompt: "Once" };
			await leaveAfterFirstToken(frontend, { model: "stock", max_tokens: 4000, ...input });
			await freed(before + 1);
		});

		it("in an answer that is not streamed", async () => {
			const before = await metric(worker, CANCELLATIONS);
			await leaveBeforeFirstToken(frontend, worker, { model: "stock", prompt: "Once", max_tokens: 4000 });
			await freed(before + 1);
		});

		it("with all its choices", async () => {
			const before = await metric(worker, CANCELLATIONS);
			await leaveAfterFirstToken(frontend, { model: "stock", prompt: "Once", max_tokens: 4000, n: 3 });
			await freed(before + 3);
		});
	});
});
