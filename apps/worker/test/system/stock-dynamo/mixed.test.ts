// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask } from "./ask.js";
import { Deployment, type Process, peersMissing } from "./deployment.js";
import { eventually, listed, metric, modelsOf } from "./observe.js";

/** Longest time from a worker's death to its model's disappearance, ms; a lease lasts 10 s. */
const GONE_MS = 15_000;
/** What an endpoint's last worker stays longer in our frontend, ms: etcd may have lost the key and not the worker. */
const HELD_MS = 5000;

describe.skipIf(peersMissing()).each(["file", "etcd"] as const)(
	"ours and stock ones in one %s store",
	(discovery) => {
		let deployment: Deployment;
		let frontends: readonly Process[];
		let ours: Process;
		let stock: Process;
		/** Of one model: one of ours and a stock one. */
		let shared: readonly Process[];
		beforeAll(async () => {
			deployment = await Deployment.start(discovery);
			// The stock frontend wants the same files, block size and source path of all workers of an endpoint.
			const sameSource = ["--tokenizer", await deployment.modelFolder()];
			[frontends, ours, stock, shared] = await Promise.all([
				// Either may still know the worker that shares its model after the other models' have been given up.
				Promise.all([deployment.frontend(), deployment.stockFrontend(["--migration-limit", "3"])]),
				deployment.worker("ours"),
				deployment.stockMocker("stock"),
				Promise.all([deployment.worker("shared", { flags: sameSource }), deployment.stockMocker("shared")]),
			]);
			await Promise.all(frontends.map((each) => listed(each, "ours", "stock", "shared")));
		});
		afterAll(() => deployment?.[Symbol.asyncDispose]());

		const requests = (worker: Process) =>
			metric(worker, "dynamo_component_requests_total", 'dynamo_endpoint="generate"');
		const question = (model: string, stream = false) => ({
			model,
			messages: [{ role: "user", content: "What is the capital of France?" }],
			max_tokens: 7,
			temperature: 0,
			stream,
		});

		it("every frontend reaches every worker", async () => {
			for (const frontend of frontends)
				for (const stream of [false, true]) {
					const before = await Promise.all([ours, stock].map(requests));
					const answers = [question("ours", stream), question("stock", stream)];
					const [own, other] = await Promise.all(answers.map((body) => ask(frontend, body)));
					expect(own!.text).toBe("The capital of France is Paris.");
					expect(other!.finishReason).toBe("length");
					expect(await Promise.all([ours, stock].map(requests))).toEqual(before.map((count) => count + 1));
				}
		});

		it("every frontend asks workers of both kinds that serve one model", async () => {
			for (const frontend of frontends) {
				const before = await Promise.all(shared.map(requests));
				await eventually("both workers are asked", 10_000, async () => {
					await ask(frontend, question("shared"));
					const now = await Promise.all(shared.map(requests));
					return now.every((count, index) => count > before[index]!);
				});
			}
		});

		it("killed workers' models disappear everywhere, the one that another worker serves stays", async () => {
			const [killed, left] = shared;
			await Promise.all([ours, stock, killed!].map((worker) => worker.kill("SIGKILL")));
			const gone = (frontend: Process, limitMs: number) =>
				eventually(
					"only the model that is still served is left",
					limitMs,
					async () => (await modelsOf(frontend)).join() === "shared",
				);
			const [own, other] = frontends;
			await Promise.all([
				gone(own!, discovery === "etcd" ? GONE_MS + HELD_MS : GONE_MS),
				gone(other!, GONE_MS),
			]);
			for (const frontend of frontends) {
				const before = await requests(left!);
				expect((await ask(frontend, question("shared"))).finishReason).toBe("length");
				expect(await requests(left!)).toBe(before + 1);
			}
		});
	},
);
