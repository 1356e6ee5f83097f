// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { failure } from "./__fixtures__/asking.js";
import { HttpRig } from "./__fixtures__/http-rig.js";

const rig = new HttpRig();
const sse = (response: ServerResponse, ...events: unknown[]): true => {
	response.writeHead(200, { "content-type": "text/event-stream" });
	response.end(
		events.map((event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`).join(""),
	);
	return true;
};

describe("answers that make no sense", () => {
	const choice = { index: 0, text: "", token_ids: [3], finish_reason: null };
	const rows: readonly [name: string, events: readonly unknown[], code: string, message: string][] = [
		["nothing at all", [], "DISCONNECTED", "without its [DONE]"],
		["an early end", [{ choices: [choice] }], "DISCONNECTED", "without its [DONE]"],
		[
			"an end without its mark",
			[{ choices: [{ ...choice, finish_reason: "length" }] }],
			"DISCONNECTED",
			"without its [DONE]",
		],
		["garbage", ["{nonsense"], "INTERNAL", "no JSON object"],
		["a list", ["[1]"], "INTERNAL", "no JSON object"],
		["no choices", [{ id: "c" }], "INTERNAL", "without choices"],
		["no index", [{ choices: [{ ...choice, index: undefined }] }], "INTERNAL", "index is undefined"],
		[
			"no token ids",
			[{ choices: [{ index: 0, text: "hello", finish_reason: null }] }],
			"INTERNAL",
			"without token_ids",
		],
		[
			"token ids that are none",
			[{ choices: [{ ...choice, token_ids: ["3"] }] }],
			"INTERNAL",
			"without token_ids",
		],
		["another choice", [{ choices: [{ ...choice, index: 4 }] }], "INTERNAL", "choice 4 of a request for 1"],
		[
			"an unknown reason",
			[{ choices: [{ ...choice, finish_reason: "bored" }] }, "[DONE]"],
			"INTERNAL",
			'"bored"',
		],
		[
			"a reason that is no text",
			[{ choices: [{ ...choice, finish_reason: 3 }] }, "[DONE]"],
			"INTERNAL",
			"no text",
		],
		[
			"an error in the middle",
			[{ choices: [choice] }, { error: { message: "out of blocks", code: 503 } }],
			"UNAVAILABLE",
			"out of blocks",
		],
		[
			"an error of TensorRT-LLM's form",
			[{ object: "error", message: "bad", code: 400 }],
			"INVALID_ARGUMENT",
			"bad",
		],
	];
	it.each(rows)("%s", async (_name, events, code, message) => {
		await rig.start();
		rig.server.answer = ({ url }, response) => url === "/v1/completions" && sse(response, ...events);
		const error = await failure(rig.collect({ tokenIds: [4] }));
		expect(error.message).toContain(message);
		expect(error.code).toBe(code);
	});

	it("a connection that breaks in the middle", async () => {
		await rig.start();
		rig.server.answer = ({ url }, response) => {
			if (url !== "/v1/completions") return false;
			response.writeHead(200, { "content-type": "text/event-stream" });
			response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\ndata: {"cho`, () =>
				response.destroy(),
			);
			return true;
		};
		expect((await failure(rig.collect({ tokenIds: [4] }))).code).toBe("DISCONNECTED");
	});

	it("an event without an end", async () => {
		await rig.start();
		rig.server.answer = ({ url }, response) => {
			if (url !== "/v1/completions") return false;
			const part = Buffer.alloc(1 << 20, "x");
			const more = () => response.destroyed || response.write(part, more);
			response.write("data: ", more);
			return true;
		};
		expect((await failure(rig.collect({ tokenIds: [4] }))).code).toBe("PAYLOAD_TOO_LARGE");
	});

	const statuses: readonly [status: number, body: string, code: string, message: string][] = [
		[400, '{"object":"error","message":"prompt too long","code":400}', "INVALID_ARGUMENT", "prompt too long"],
		[422, '{"detail":[{"loc":["body","x"],"msg":"no"}]}', "INVALID_ARGUMENT", '"msg":"no"'],
		[429, "queue full", "OVERLOADED", "queue full"],
		[500, "", "INTERNAL", "status 500"],
		[503, '{"error":{"message":"not ready"}}', "UNAVAILABLE", "not ready"],
	];
	it.each(statuses)("status %i", async (status, body, code, message) => {
		await rig.start();
		rig.server.answer = ({ url }, response) =>
			url === "/v1/completions" && !!response.writeHead(status).end(body);
		const error = await failure(rig.collect({ tokenIds: [4] }));
		expect(error.code).toBe(code);
		expect(error.message).toContain(message);
		expect(error.details["status"]).toBe(status);
	});

	it("a prefill without a session", async () => {
		await rig.start({ features: ["prefill"] });
		const prefill = () => failure(rig.collect({ tokenIds: [4], disaggregation: { role: "prefill" } }));
		let params: unknown = null;
		rig.server.answer = ({ url }, response) =>
			url === "/v1/completions" &&
			!!response.end(
				JSON.stringify({ choices: [{ ...choice, finish_reason: "length", disaggregated_params: params }] }),
			);
		expect((await prefill()).message).toContain("cache_transceiver_config");
		params = { first_gen_tokens: [3], encoded_opaque_state: "AA==" };
		expect((await prefill()).message).toContain("neither an id (ctx_request_id) nor disagg_request_id");
		params = { ctx_request_id: 5, first_gen_tokens: [3] };
		expect((await prefill()).message).toContain("neither opaque_state nor ctx_info_endpoint");
	});
});
