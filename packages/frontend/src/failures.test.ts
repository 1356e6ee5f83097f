// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aborted, delta, eventsOf, ServedModel, signalled } from "./__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create();
});
afterEach(() => served.close());

describe("failures", () => {
	it("before the first byte have a status, OpenAI's body and advice on retrying", async () => {
		await served.start();
		served.answer = () => {
			throw new DynError("OVERLOADED", "every worker is busy");
		};
		for (const stream of [false, true]) {
			const response = await served.chat({ stream });
			expect(response.status).toBe(529);
			expect(response.headers.get("retry-after-ms")).toBe("500");
			expect(await response.json()).toEqual({
				error: { message: "every worker is busy", type: "overloaded_error", param: null, code: "overloaded" },
			});
		}
	});

	it("after the first byte are an error event, never a clean end; inner details stay inside", async () => {
		await served.start();
		served.answer = async function* () {
			yield delta("partial");
			throw new Error("secret path /etc");
		};
		const text = await (await served.chat({ stream: true })).text();
		expect(eventsOf(text).at(-1)).toEqual({
			error: { message: "Internal server error", type: "server_error", param: null, code: "internal" },
		});
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
		served.answer = async function* () {
			yield delta("partial");
		};
		expect(eventsOf(await (await served.chat({ stream: true })).text()).at(-1).error.code).toBe(
			"disconnected",
		);
		expect((await served.chat()).status).toBe(502);
	});

	it("of one prompt end the others", async () => {
		await served.start();
		const others = [signalled(), signalled()];
		served.answer = async function* (request, { signal }) {
			const which = request.tokenIds[0]! - 97;
			if (which === 2) throw new DynError("UNAVAILABLE", "no worker");
			try {
				yield delta("x");
				await aborted(signal);
			} finally {
				others[which]!.reach();
			}
		};
		expect((await served.complete({ prompt: ["a", "b", "c"] })).status).toBe(503);
		await Promise.all(others.map(({ reached }) => reached));
	});

	it("name what the request got wrong", async () => {
		await served.start();
		expect(await (await served.chat({ model: "nope" })).json()).toMatchObject({
			error: { code: "model_not_found", param: "model" },
		});
		expect(await (await served.chat({ nvext: { logits_processors: [{ name: "x" }] } })).json()).toMatchObject(
			{
				error: { param: "nvext.logits_processors[0].name" },
			},
		);
		const long = await served.complete({ prompt: "x".repeat(100) });
		expect([
			long.status,
			((await long.json()) as { error: { code: string; param: string } }).error,
		]).toMatchObject([400, { code: "context_length_exceeded", param: "prompt" }]);
		const longer = await served.complete({ prompt: "x".repeat(100_000) });
		expect(((await longer.json()) as { error: { message: string } }).error.message).toContain("at least");
		expect(served.seen).toHaveLength(0);
	});

	it("say what a model does not do", async () => {
		await served.publish({ name: "plain", logprobs: false, endpointTypes: ["completions"] });
		await served.start();
		const refusals = [
			await served.complete({ model: "plain", logprobs: 1 }),
			await served.chat({ model: "plain" }),
		];
		expect(refusals.map(({ status }) => status)).toEqual([400, 404]);
		expect(await refusals[0]!.json()).toMatchObject({ error: { param: "logprobs" } });
		expect(await refusals[1]!.json()).toMatchObject({ error: { param: "model", code: "model_not_found" } });
		expect((await served.complete({ model: "plain" })).status).toBe(200);
	});

	it("refuse methods, routes and content types", async () => {
		await served.start();
		const method = await fetch(`${served.address}/v1/chat/completions`);
		expect([method.status, method.headers.get("allow")]).toEqual([405, "POST"]);
		expect(await (await fetch(`${served.address}/nope`)).json()).toMatchObject({
			error: { message: "Route not found: GET /nope" },
		});
		const typed = await fetch(`${served.address}/v1/completions`, { method: "POST", body: "{}" });
		expect(typed.status).toBe(415);
	});

	it("answer 413 to a body over the limit, announced or not", async () => {
		await served.start({ limits: { bodyBytes: 1000 } });
		expect((await served.complete({ prompt: "x".repeat(2000) })).status).toBe(413);
		const chunked = await fetch(`${served.address}/v1/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(500).fill(32)) }),
			duplex: "half",
		} as RequestInit).catch(() => null);
		expect(chunked === null || chunked.status === 413).toBe(true);
		expect((await served.complete()).status).toBe(200);
	});
});
