// SPDX-License-Identifier: Apache-2.0
import { conformanceCases } from "@dyn/engine/conformance";
import { describe, expect, it } from "vitest";
import { ToyEngine } from "../__fixtures__/toy-engine.js";
import { engineService } from "../server/engine-service.js";
import { createOpenEngineServer } from "../server/openengine-server.js";
import { createOpenEngineEngine } from "./openengine-engine.js";

describe("an engine behind OpenEngine keeps the Engine contract", () => {
	for (const each of conformanceCases) {
		it(each.name, async () => {
			const toy = new ToyEngine();
			await using server = await createOpenEngineServer({
				service: engineService(toy, { info: await toy.start() }),
			});
			const engine = createOpenEngineEngine({
				endpoint: server.address,
				connections: 2,
				statusIntervalMs: 50,
			});
			try {
				await each.run({ engine, info: await engine.start() });
			} finally {
				await engine.close();
				await toy.close();
			}
		});
	}

	it("says of itself what the engine behind says", async () => {
		const toy = new ToyEngine();
		await using server = await createOpenEngineServer({
			service: engineService(toy, { info: await toy.start() }),
		});
		const engine = createOpenEngineEngine({ endpoint: server.address });
		const { description, ...info } = await engine.start();
		const { description: _, ...own } = await toy.start();
		expect({
			...info,
			capabilities: { ...info.capabilities, features: [...info.capabilities.features].sort() },
		}).toEqual({
			...own,
			capabilities: { ...own.capabilities, features: [...own.capabilities.features].sort() },
		});
		expect(description).toBe("OpenEngine, dyn");
		await engine.close();
		await toy.close();
	});
});
