// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask } from "./ask.js";
import { Deployment, type Process, peersMissing } from "./deployment.js";
import { eventually, listed, metric } from "./observe.js";

const MODEL = "routed";
/** So many that chance does not send all of them to one worker. */
const PROMPTS = Array.from({ length: 10 }, (_, i) => i);
/** 64 blocks of 32 tokens: a few prompts more push these out. */
const SMALL_CACHE = JSON.stringify({ kv_cache_config: { num_blocks: 64 } });
const FLAGS = ["--publish-kv-events", "--publish-metrics", "--threads", "1", "--max-seq-len", "1024"];

describe.skipIf(peersMissing()).each(["file", "etcd"] as const)(
	"KV events of our workers, read by the stock frontend in kv mode through %s",
	(discovery) => {
		let deployment: Deployment;
		let stock: Process;
		let workers: Process[];
		/** Which worker was sent each prompt first. */
		let homes: number[];

		beforeAll(async () => {
			deployment = await Deployment.start(discovery);
			stock = await deployment.stockFrontend(["--router-mode", "kv"]);
			workers = [await startWorker(), await startWorker()];
			await listed(stock, MODEL);
		});
		afterAll(() => deployment?.[Symbol.asyncDispose]());

		it("a prompt goes where its beginning is", async () => {
			homes = [];
			for (const i of PROMPTS) homes.push(await servedNewPrompt(i));
			// Both serve: otherwise what follows would hold without any events.
			expect(new Set(homes).size).toBe(2);
			expect(await servedAgain(stock)).toEqual(homes);
		});

		it("a router that comes later is told what was stored before", async () => {
			const late = await deployment.stockFrontend(["--router-mode", "kv"]);
			await listed(late, MODEL);
			expect(await servedAgain(late)).toEqual(homes);
			await late.kill();
		});

		it("what a cache gives up, the router forgets", async () => {
			const before = await applied("removed");
			for (let i = 10; i < 40; i++) await servedNewPrompt(i);
			await eventually(
				"removed blocks are heard of",
				10_000,
				async () => (await applied("removed")) > before,
			);
			expect(await metric(workers[0]!, "dynamo_component_total_blocks", 'dp_rank="0"')).toBe(64);
		});

		it("a worker that was killed comes back with an empty cache, and is heard again", async () => {
			await workers[0]!.kill("SIGKILL");
			workers[0] = await startWorker();
			let asked = 0;
			await eventually("the dead worker is gone and the new one serves", 30_000, async () => {
				await ask(stock, question(`Number ${++asked}`)).catch(() => null);
				return (await answered())[0]! > 0 && (await instances()) === 2;
			});
			const again = PROMPTS.map((i) => 50 + i);
			const first: number[] = [];
			for (const i of again) first.push(await servedNewPrompt(i));
			expect(new Set(first).size).toBe(2);
			const second: number[] = [];
			for (const i of again) second.push(await servedBy(stock, `${longPrompt(i)} And now?`));
			expect(second).toEqual(first);
		});

		const startWorker = () =>
			deployment.worker(MODEL, { flags: [...FLAGS, "--override-engine-args", SMALL_CACHE] });

		const question = (prompt: string) => ({ model: MODEL, prompt, max_tokens: 2, temperature: 0 });

		/** Workers that the router knows. */
		async function instances(): Promise<number> {
			const { instances } = (await (await fetch(`${stock.address}/health`)).json()) as {
				instances: { endpoint: string }[];
			};
			return instances.filter(({ endpoint }) => endpoint === "generate").length;
		}

		/** Requests that each worker has served. */
		const answered = () =>
			Promise.all(
				workers.map((each) => metric(each, "dynamo_component_requests_total", 'dynamo_endpoint="generate"')),
			);

		/** Events of a type that the router has put into its index. */
		const applied = (type: string) =>
			metric(stock, "dynamo_component_kv_cache_events_applied", `event_type="${type}",status="ok"`);

		/** Index of the worker that the answer came from. */
		async function servedBy(frontend: Process, prompt: string): Promise<number> {
			const before = await answered();
			await ask(frontend, question(prompt));
			const after = await answered();
			return after.findIndex((count, i) => count > before[i]!);
		}

		/** The same for a prompt that nobody has seen; resolves when the router has heard what it left in the cache. */
		async function servedNewPrompt(seed: number): Promise<number> {
			const before = await applied("stored");
			const index = await servedBy(stock, longPrompt(seed));
			await eventually("stored blocks are heard of", 10_000, async () => (await applied("stored")) > before);
			return index;
		}

		async function servedAgain(frontend: Process): Promise<number[]> {
			const served: number[] = [];
			for (const i of PROMPTS) served.push(await servedBy(frontend, `${longPrompt(i)} Question ${i}:`));
			return served;
		}
	},
);

/** About 5 KV blocks that no other number shares. */
function longPrompt(seed: number): string {
	return Array.from({ length: 40 }, (_, i) => `word${seed * 101 + i * 7}`).join(" ");
}
