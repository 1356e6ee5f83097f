// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createModelStore } from "@dyn/models/store";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask } from "./ask.js";
import { Deployment, peersMissing } from "./deployment.js";
import { eventually, listed, metric } from "./observe.js";

describe.skipIf(peersMissing())("workers that have the model at different paths", () => {
	let deployment: Deployment;
	let elsewhere: string;
	beforeAll(async () => {
		deployment = await Deployment.start();
		elsewhere = await mkdtemp(join(tmpdir(), "dyn-elsewhere-"));
		await symlink(createModelStore().directory, join(elsewhere, "models"));
	});
	afterAll(async () => {
		await deployment?.[Symbol.asyncDispose]();
		if (elsewhere) await rm(elsewhere, { recursive: true });
	});

	it("are one model to the stock frontend", async () => {
		const [frontend, ...workers] = await Promise.all([
			deployment.stockFrontend(),
			deployment.worker("ours"),
			deployment.worker("ours", { flags: ["--model-store", join(elsewhere, "models")] }),
		]);
		await listed(frontend, "ours");
		const body = { model: "ours", prompt: "One, two, three, four,", max_tokens: 4, temperature: 0 };
		await eventually("both workers are asked", 10_000, async () => {
			expect((await ask(frontend, body)).text).toMatch(/five/);
			const counts = workers.map((each) => metric(each, "dynamo_component_requests_total"));
			return (await Promise.all(counts)).every((count) => count > 0);
		});
	});
});
