// SPDX-License-Identifier: Apache-2.0
import type { Engine } from "@dyn/engine";
import { conformanceCases } from "@dyn/engine/conformance";
import { createModelStore } from "@dyn/models/store";
import { createOpenEngineEngine, createOpenEngineServer, engineService } from "@dyn/openengine";
import { runWireConformance } from "@dyn/openengine/conformance";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { beforeAll, describe, expect, it } from "vitest";

let modelPath: string;
beforeAll(async () => {
	modelPath = (await createModelStore().resolve("smollm2-135m-instruct", { pull: true })).path;
});

/** The embedded engine behind a server; `use` gets the server's address. */
async function served(use: (address: string) => Promise<void>): Promise<void> {
	const embedded: Engine = createEmbeddedEngine({ modelPath });
	try {
		const info = await embedded.start();
		await using server = await createOpenEngineServer({ service: engineService(embedded, { info }) });
		await use(server.address);
	} finally {
		await embedded.close();
	}
}

describe("the embedded engine, OpenEngine between, keeps the Engine contract", () => {
	for (const each of conformanceCases) {
		it(each.name, () =>
			served(async (endpoint) => {
				const engine = createOpenEngineEngine({ endpoint, statusIntervalMs: 100 });
				try {
					await each.run({ engine, info: await engine.start() });
				} finally {
					await engine.close();
				}
			}),
		);
	}
});

it("the embedded engine keeps OpenEngine's contract", () =>
	served(async (endpoint) => {
		const report = await runWireConformance({ endpoint });
		expect(report.results.filter(({ outcome }) => outcome === "failed")).toEqual([]);
		expect(report.passed).toBeGreaterThan(20);
	}));
