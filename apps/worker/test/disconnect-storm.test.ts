// SPDX-License-Identifier: Apache-2.0
import { request } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually, MODEL, ServerProcess } from "./server-process.js";

let server: ServerProcess;
beforeAll(async () => {
	server = await ServerProcess.start(["--max-batch-size", "16"]);
});
afterAll(() => server?.[Symbol.asyncDispose]());

/** Streams one answer; leaves after `leaveAfter` bytes (null: reads to the end). Resolves with what was read. */
function streamOnce(index: number, leaveAfter: number | null): Promise<string> {
	return new Promise((resolve, reject) => {
		const call = request(
			{
				host: "127.0.0.1",
				port: server.port,
				path: "/v1/completions",
				method: "POST",
				headers: { "content-type": "application/json" },
			},
			(response) => {
				let text = "";
				response.on("data", (chunk) => {
					text += chunk;
					if (leaveAfter !== null && text.length >= leaveAfter) call.destroy();
				});
				response.on("end", () => resolve(text));
				response.on("close", () => resolve(text));
			},
		);
		call.on("error", (error) => (leaveAfter === null ? reject(error) : resolve("")));
		call.end(
			JSON.stringify({
				model: MODEL,
				prompt: `Client ${index} says: `,
				max_tokens: 40,
				temperature: 1,
				seed: index,
				stream: true,
				ignore_eos: true,
			}),
		);
		if (leaveAfter === 0) setImmediate(() => call.destroy());
	});
}

const idle = async () =>
	(await server.metric("dynamo_frontend_inflight_requests")) === 0 &&
	(await server.metric("dyn_engine_active_kv_blocks")) === 0;

async function storm(clients: number): Promise<void> {
	// A fixed pseudo-random half leaves at a fixed pseudo-random point, some before the first byte.
	const leaving = Array.from({ length: clients }, (_, index) => index % 2 === 1);
	const texts = await Promise.all(
		leaving.map((leaves, index) => streamOnce(index, leaves ? ((index * 2654435761) >>> 0) % 4000 : null)),
	);
	for (const [index, text] of texts.entries()) {
		if (!leaving[index])
			expect(text.endsWith("data: [DONE]\n\n"), `client ${index}: ${text.slice(-200)}`).toBe(true);
	}
}

it("ends idle, with no block leaked and memory back, after 200 clients of which half vanish", async () => {
	// Twice to warm up: allocators and the KV blocks that a storm touches reach their size.
	for (let warmUp = 0; warmUp < 2; warmUp++) await storm(200);
	await eventually("engine idle, no active KV block", idle, 2000);
	const before = server.residentMiB;
	await storm(200);
	const ms = await eventually("engine idle, no active KV block", idle, 2000);
	const after = server.residentMiB;
	console.log(`idle after ${ms.toFixed(0)} ms; resident ${before.toFixed(0)} -> ${after.toFixed(0)} MiB`);
	expect(after).toBeLessThan(before * 1.05);
});
