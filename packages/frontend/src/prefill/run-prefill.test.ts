// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { createGenerateRequest, type EngineOutput } from "@dyn/protocols";
import { createRuntime, type EndpointHandler, type Runtime } from "@dyn/runtime";
import { afterEach, beforeEach, expect, it } from "vitest";
import { PrefillWorkers } from "./prefill-workers.js";
import { runPrefill } from "./run-prefill.js";

const ENDPOINT = "dyn://n.prefill.generate";
const patience = { firstTokenMs: 50, stallMs: 50 };
const done: EngineOutput = {
	index: 0,
	tokenIds: [1],
	logprobs: null,
	finishReason: "length",
	stopTokenId: null,
	usage: { promptTokens: 2, completionTokens: 1, cachedTokens: 0 },
};
const answering: EndpointHandler = async function* () {
	yield done;
};
const failing = (code: "UNAVAILABLE" | "INVALID_ARGUMENT"): EndpointHandler =>
	async function* () {
		yield* [];
		throw new DynError(code, "no");
	};
const silent: EndpointHandler = async function* (_, { signal }) {
	yield* [];
	await new Promise((_, reject) =>
		signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
	);
};
const cut: EndpointHandler = async function* () {
	yield { ...done, finishReason: null };
};

let runtime: Runtime;
let workers: PrefillWorkers;
beforeEach(async () => {
	runtime = await createRuntime();
	workers = new PrefillWorkers((endpoint) => runtime.endpoint(endpoint).client());
});
afterEach(() => runtime.close());

async function serve(...handlers: EndpointHandler[]): Promise<number[]> {
	const calls = handlers.map(() => 0);
	for (const [i, handler] of handlers.entries()) {
		const served = await runtime.endpoint(ENDPOINT).serve((request, context) => {
			calls[i]!++;
			return handler(request, context);
		});
		workers.add("m", "n", ENDPOINT, served.instance.id);
	}
	return calls;
}
const run = (signal?: AbortSignal) =>
	runPrefill({
		endpoints: () => workers.of("m", "n"),
		request: createGenerateRequest({ tokenIds: [1, 2] }),
		context: createRequestContext(signal ? { signal } : {}),
		patience,
	});

it.each([
	["fails", failing("UNAVAILABLE")],
	["freezes", silent],
	["ends too early", cut],
])("asks another worker when one %s", async (_, bad) => {
	const calls = await serve(bad, bad, answering);
	for (let i = 0; i < 3; i++) expect(await run()).toEqual(done);
	expect(calls[2]).toBe(3);
});

it("gives up after the last worker, and at once for what is the request's fault", async () => {
	await serve(failing("UNAVAILABLE"), failing("UNAVAILABLE"));
	await expect(run()).rejects.toMatchObject({ code: "UNAVAILABLE" });
	workers = new PrefillWorkers((endpoint) => runtime.endpoint(endpoint).client());
	await serve(failing("INVALID_ARGUMENT"), failing("INVALID_ARGUMENT"));
	await expect(run()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

it("waits for the only worker, and hears when the client leaves", async () => {
	await serve(silent);
	const client = new AbortController();
	const prefill = run(client.signal);
	setTimeout(() => client.abort(), 3 * patience.firstTokenMs);
	await expect(prefill).rejects.toMatchObject({ code: "CANCELLED" });
});

it("says that there is nobody, of another namespace or model, or after the last one left", async () => {
	expect(await run()).toBeNull();
	const served = await runtime.endpoint(ENDPOINT).serve(answering);
	workers.add("other", "n", ENDPOINT, served.instance.id);
	workers.add("m", "other", ENDPOINT, served.instance.id);
	expect(await run()).toBeNull();
	workers.add("m", "n", ENDPOINT, served.instance.id);
	expect(await run()).toEqual(done);
	await workers.remove("m", "n", ENDPOINT, served.instance.id);
	await workers.remove("m", "n", ENDPOINT, served.instance.id);
	expect(await run()).toBeNull();
});
