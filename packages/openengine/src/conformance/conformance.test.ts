// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ToyEngine } from "../__fixtures__/toy-engine.js";
import { GrpcStatus } from "../grpc/status.js";
import { engineService } from "../server/engine-service.js";
import type { EngineServerRole } from "../server/generate-request.js";
import { createOpenEngineServer } from "../server/openengine-server.js";
import type { OpenEngineService } from "../server/service.js";
import { runWireConformance } from "./run.js";

/** What the suite says of our server over a toy engine, with handlers replaced. */
async function judge(
	role: EngineServerRole = "aggregated",
	override: (own: OpenEngineService) => Partial<OpenEngineService> = () => ({}),
) {
	const toy = new ToyEngine();
	const own = engineService(toy, { info: await toy.start(), role });
	await using server = await createOpenEngineServer({ service: { ...own, ...override(own) } });
	try {
		return await runWireConformance({ endpoint: server.address });
	} finally {
		await toy.close();
	}
}

const failuresOf = async (...args: Parameters<typeof judge>) =>
	(await judge(...args)).results
		.filter(({ outcome }) => outcome === "failed")
		.map(({ name, message }) => `${name}: ${message}`);

describe("our server keeps the contract", () => {
	for (const role of ["aggregated", "prefill", "decode"] as const)
		it(role, async () => {
			const report = await judge(role);
			expect(report.results.filter(({ outcome }) => outcome === "failed")).toEqual([]);
			expect(report.role).toBe(role);
			expect(report.passed).toBeGreaterThan(role === "aggregated" ? 24 : 12);
		});
});

describe("the suite notices", () => {
	it("what only a known engine is forgiven, and that for its own deviation only", async () => {
		const lax = (engineName: string, answer: "served" | "broken") =>
			judge("aggregated", (own) => ({
				getServerInfo: async (...args) => ({ ...(await own.getServerInfo(...args)), engineName }),
				getModelInfo: async (request, call) => {
					if (request.model !== "toy" && answer === "broken") throw new Error("broken");
					return own.getModelInfo({ ...request, model: "toy" }, call);
				},
				generate: (request, call) => {
					if (request.model !== "toy" && answer === "broken") throw new Error("broken");
					return own.generate({ ...request, model: "toy" }, call);
				},
			}));
		const outcomeOf = async (report: ReturnType<typeof lax>) =>
			(await report).results.find(({ name }) => name === "refuses an unknown model")?.outcome;
		expect(await outcomeOf(lax("tensorrt_llm", "served"))).toBe("known");
		expect(await outcomeOf(lax("tensorrt_llm", "broken"))).toBe("failed");
		expect(await outcomeOf(lax("another", "served"))).toBe("failed");
	});

	it("usage on every response", async () => {
		const failures = await failuresOf("aggregated", (own) => ({
			async *generate(request, call) {
				for await (const response of own.generate(request, call))
					yield { ...response, usage: { promptTokens: 1 } };
			},
		}));
		expect(failures).toContain("generate: deltas, one end, usage last: usage came before the last response");
	});

	it("an error event where a status belongs", async () => {
		const failures = await failuresOf("aggregated", (own) => ({
			async *generate(request, call) {
				try {
					yield* own.generate(request, call);
				} catch {
					yield { requestId: request.requestId, error: { code: 1, message: "bad" } };
				}
			},
		}));
		expect(failures.filter((each) => each.startsWith("refuses")).length).toBeGreaterThan(5);
	});

	it("any model being served, and an abort that finds everything", async () => {
		const failures = await failuresOf("aggregated", (own) => ({
			getModelInfo: (_request, call) => own.getModelInfo({ model: "toy" }, call),
			abort: async () => ({ status: 1 }),
		}));
		expect(failures.some((each) => each.startsWith("refuses an unknown model"))).toBe(true);
		expect(failures.some((each) => each.startsWith("abort: refuses no target"))).toBe(true);
	});

	it("two ends, cumulative tokens and a missing index", async () => {
		const failures = await failuresOf("aggregated", (own) => ({
			async *generate(request, call) {
				for await (const response of own.generate(request, call)) {
					yield response.token
						? { ...response, token: { ...response.token, outputIndex: undefined } }
						: response;
				}
			},
		}));
		expect(failures).toContain("generate: deltas, one end, usage last: a TokenOutput has no output_index");
	});
});

it("names statuses as gRPC does", () => {
	expect(GrpcStatus.UNAUTHENTICATED).toBe(16);
});
