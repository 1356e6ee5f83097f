// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { MODEL, ServerProcess } from "./server-process.js";

const hook = fileURLToPath(new URL("__fixtures__/engine-that-dies.cjs", import.meta.url));

it("an engine that fails ends its requests as unavailable, says why, and the process with exit code 1", async () => {
	await using server = await ServerProcess.start([], { NODE_OPTIONS: `--require ${hook}` });
	const story = { model: MODEL, prompt: "Once", max_tokens: 200, temperature: 0, ignore_eos: true };
	const [whole, stream] = await Promise.all([
		server.post("/v1/completions", story),
		server.post("/v1/completions", { ...story, stream: true }),
	]);
	expect(whole.status).toBe(503);
	const streamed = await stream.text();
	expect(streamed).toContain('"text"');
	expect(streamed).toContain('"error"');
	expect(await server.exited).toEqual({ code: 1, signal: null });
	expect(server.output).toContain("injected: the step failed");
});
