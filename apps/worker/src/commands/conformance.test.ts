// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { createOpenEngineServer, type OpenEngineService } from "@dyn/openengine";
import { afterEach, describe, expect, it, vi } from "vitest";
import { conformance, resultLine } from "./conformance.js";

const refuse = async () => {
	throw new DynError("UNIMPLEMENTED", "not here");
};

/** Answers what it is, and nothing else. */
const service: OpenEngineService = {
	async *generate() {
		yield {};
	},
	getServerInfo: async () => ({
		engineName: "stub",
		supportedModels: ["m"],
		schemaRevision: 1,
		minimumClientRevision: 1,
		schemaRelease: "r",
	}),
	getModelInfo: async () => ({ servedModelName: "m" }),
	getLoad: refuse,
	health: refuse,
	abort: refuse,
	loadLora: refuse,
	unloadLora: refuse,
	listLoras: refuse,
	getKvEventSources: refuse,
	async *subscribeKvEvents() {
		yield* [];
		await refuse();
	},
};

afterEach(() => {
	vi.restoreAllMocks();
});

async function run(values: Record<string, string | boolean>): Promise<{ code: number; output: string }> {
	await using server = await createOpenEngineServer({ service });
	let output = "";
	vi.spyOn(process.stdout, "write").mockImplementation((text) => {
		output += text;
		return true;
	});
	return { code: await conformance({ grpcEndpoint: server.address, ...values }), output };
}

describe("conformance", () => {
	it("says rule by rule what a server does instead, and fails", async () => {
		const { code, output } = await run({});
		expect(code).toBe(1);
		expect(output).toContain("ok    server info: revisions and an immutable release\n");
		expect(output).toContain(
			'FAIL  generate: deltas, one end, usage last\n      response 0 has request_id ""\n',
		);
		expect(output).toMatch(
			/\nstub, m, aggregated: \d+ passed, \d+ failed, \d+ known to differ, \d+ skipped\n$/,
		);
	});

	it("reports to programs", async () => {
		const { code, output } = await run({ json: true, role: "prefill" });
		expect(code).toBe(1);
		expect(JSON.parse(output)).toMatchObject({ ok: false, engine: "stub", model: "m", role: "prefill" });
	});

	it("needs a server to judge", async () => {
		await expect(conformance({})).rejects.toThrow("--grpc-endpoint");
	});

	it("is coloured for people", () => {
		const result = { name: "n", outcome: "failed", message: "m", elapsedMs: 1 } as const;
		expect(resultLine(result, true)).toBe("\u001b[31mFAIL\u001b[0m  n\n      m\n");
		expect(resultLine({ ...result, outcome: "passed", message: "" }, false)).toBe("ok    n\n");
	});
});
