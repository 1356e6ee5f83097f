// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { eventually, MODEL, ServerProcess } from "./server-process.js";

const story = (index: number) => ({
	model: MODEL,
	prompt: `Story ${index}:`,
	max_tokens: 120,
	temperature: 0,
	stream: true,
	ignore_eos: true,
});

/** Opens streams and resolves, with the bodies still being read, once each has sent its first bytes. */
async function openStreams(server: ServerProcess, count: number): Promise<Promise<string>[]> {
	return Promise.all(
		Array.from({ length: count }, async (_, index) => {
			const response = await server.post("/v1/completions", story(index));
			const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
			const first = (await reader.read()).value ?? "";
			return {
				rest: (async () => {
					let text = first;
					for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
					return text;
				})(),
			};
		}),
	).then((streams) => streams.map(({ rest }) => rest));
}

it("finishes every stream after SIGTERM, refuses new requests, exits 0", async () => {
	await using server = await ServerProcess.start();
	const streams = await openStreams(server, 8);
	server.kill("SIGTERM");
	await eventually("somebody at a terminal learns why it goes on", async () =>
		server.output.includes("a second signal ends at once"),
	);
	for (const text of await Promise.all(streams)) {
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
		expect(text).toContain('"finish_reason":"length"');
		expect(text).not.toContain('"error"');
	}
	expect(await server.exited).toEqual({ code: 0, signal: null });
});

it("ends at once on a second signal", async () => {
	await using server = await ServerProcess.start();
	const streams = (await openStreams(server, 8)).map((stream) => stream.catch(() => "broken"));
	server.kill("SIGTERM");
	// Two pending signals of one kind are one to the kernel: the first must have arrived.
	await eventually("the server drains", async () => (await fetch(`${server.address}/health`)).status === 503);
	const began = performance.now();
	server.kill("SIGTERM");
	const { code } = await server.exited;
	expect(code).toBe(130);
	expect(performance.now() - began).toBeLessThan(2000);
	await Promise.all(streams);
});
