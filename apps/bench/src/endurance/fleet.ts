// SPDX-License-Identifier: Apache-2.0
import { dynWorker } from "../repository.js";
import { Child } from "./child.js";
import { COLLECTABLE } from "./resource-samples.js";

export const SERVED_MODEL = "endurance";

/**
 * One thread each, since several share the cores. A cache of fixed size that is full, and all of it touched, after
 * seconds: 256 blocks of 32 tokens.
 */
const WORKER_ARGS = [
	["--served-model-name", SERVED_MODEL, "--threads", "1"],
	["--override-engine-args", JSON.stringify({ kv_cache_config: { num_blocks: 256 } })],
].flat();

/** Real `dyn-worker frontend` and `dyn-worker worker` processes of one deployment. */
export class Fleet {
	readonly #model: string;
	readonly #deployment: readonly string[];
	readonly #children: Child[] = [];
	readonly #killed = new Set<Child>();
	#frontend: Child | null = null;
	#workers = 0;

	/** @param deployment options of discovery and planes, for every process */
	constructor(model: string, deployment: readonly string[]) {
		this.#model = model;
		this.#deployment = deployment;
	}

	/** Resolves when the frontend knows every worker. */
	static async start(model: string, deployment: readonly string[], workers: number): Promise<Fleet> {
		const fleet = new Fleet(model, deployment);
		await fleet.#startFrontend();
		await Promise.all(Array.from({ length: workers }, () => fleet.addWorker()));
		await fleet.untilInstances(workers);
		return fleet;
	}

	get frontend(): Child {
		return this.#frontend!;
	}

	get port(): number {
		return Number(new URL(this.frontend.address).port);
	}

	get workers(): readonly Child[] {
		return this.#children.filter((child) => child !== this.#frontend);
	}

	/** Those that nobody killed and that ended all the same. */
	get lost(): readonly Child[] {
		return this.#children.filter((child) => !child.running && !this.#killed.has(child));
	}

	/** Resolves when it serves; the frontend may not have heard of it yet. */
	addWorker(): Promise<Child> {
		return this.#start(
			`worker ${++this.#workers}`,
			["worker", "--model", this.#model, ...WORKER_ARGS],
			/is served as/,
		);
	}

	/** As a power cut would; resolves when it is gone. */
	kill(worker: Child): Promise<void> {
		this.#killed.add(worker);
		return worker.kill();
	}

	/** Instances that the frontend knows. */
	async instances(): Promise<number> {
		const response = await fetch(`${this.frontend.address}/health`);
		return ((await response.json()) as { instances: readonly unknown[] }).instances.length;
	}

	/** Resolves, with the time that it took in ms, when the frontend knows so many instances. @throws Error after `limitMs` */
	async untilInstances(count: number, limitMs = 30_000): Promise<number> {
		const began = performance.now();
		for (;;) {
			const known = await this.instances();
			const ms = performance.now() - began;
			if (known === count) return ms;
			if (ms > limitMs)
				throw new Error(`the frontend knows ${known} instances instead of ${count} after ${limitMs} ms`);
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	}

	/** Requests that went on at another worker, so far. @throws when the frontend is gone */
	async migrations(): Promise<number> {
		const text = await (await fetch(`${this.frontend.address}/metrics`)).text();
		const samples = text.matchAll(/^dynamo_frontend_model_migration_total(?:\{.*\})? (\S+)$/gm);
		return [...samples].reduce((sum, [, value]) => sum + Number(value), 0);
	}

	async close(): Promise<void> {
		await Promise.all(this.#children.map((child) => child.kill()));
	}

	async #startFrontend(): Promise<void> {
		const args = ["frontend", "--http-port", "0"];
		this.#frontend = await this.#start("frontend", args, /frontend at (http:\/\/\S+)/);
	}

	async #start(name: string, args: readonly string[], ready: RegExp): Promise<Child> {
		const command = process.execPath;
		const child = await Child.start({
			name,
			command,
			args: [...COLLECTABLE, dynWorker, ...args, ...this.#deployment],
			ready,
		});
		this.#children.push(child);
		return child;
	}
}
