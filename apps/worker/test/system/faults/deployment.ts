// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DynProcess, type DynProcessOptions } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";

const lightWorker = fileURLToPath(new URL("./light-worker.mjs", import.meta.url));

export interface LightOptions extends Omit<DynProcessOptions, "script"> {
	/** Where it registers instead of the deployment's folder. */
	readonly folder?: string;
	/** Of the wire protocols and records that it speaks. Default: this one. */
	readonly version?: "previous" | "next";
}

/** Processes that find each other through a folder of their own, or through etcd. */
export class Deployment implements AsyncDisposable {
	readonly folder: string = mkdtempSync(join(tmpdir(), "dyn-faults-"));
	/** In the order of their starts. */
	readonly processes: DynProcess[] = [];
	readonly #etcd: string | null;
	readonly #starting: Promise<DynProcess>[] = [];

	/** @param etcd address of the server to use instead of the folder */
	constructor(etcd: string | null = null) {
		this.#etcd = etcd;
	}

	/** A worker with the real model. One thread each: two workers share the cores that one has elsewhere. */
	worker(args: readonly string[] = []): Promise<DynProcess> {
		return this.#start(["worker", "--threads", "1", ...this.#discovery, ...args]);
	}

	/** A worker of the model "light", see light-worker.mjs. */
	light({ folder = this.folder, version, ...options }: LightOptions = {}): Promise<DynProcess> {
		const where = this.#etcd ? ["etcd", this.#etcd] : ["file", folder];
		return this.#start([...where, ...(version ? [version] : [])], { ...options, script: lightWorker });
	}

	frontend(args: readonly string[] = [], options: DynProcessOptions = {}): Promise<DynProcess> {
		return this.#start(["frontend", "--http-port", "0", ...this.#discovery, ...args], options);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.allSettled(this.#starting); // where one failed, others may only now be there
		await Promise.all(this.processes.map((each) => each[Symbol.asyncDispose]()));
		rmSync(this.folder, { recursive: true, force: true });
	}

	get #discovery(): readonly string[] {
		return this.#etcd
			? ["--discovery-backend", "etcd", "--etcd-endpoints", this.#etcd]
			: ["--discovery-backend", "file", "--file-kv", this.folder];
	}

	async #start(args: readonly string[], options: DynProcessOptions = {}): Promise<DynProcess> {
		const starting = DynProcess.start(args, options);
		this.#starting.push(starting);
		const started = await starting;
		this.processes.push(started);
		return started;
	}
}

/** Instances that a frontend knows, as in its /health. */
export async function instancesOf(frontend: DynProcess): Promise<readonly unknown[]> {
	const health = (await (await fetch(`${frontend.address}/health`)).json()) as {
		readonly instances: readonly unknown[];
	};
	return health.instances;
}

/** Resolves, with the time that it took in ms, when `frontend` knows so many instances. */
export function untilInstances(frontend: DynProcess, count: number, limitMs?: number): Promise<number> {
	return eventually(
		`${count} instances at the frontend`,
		async () => (await instancesOf(frontend)).length === count,
		limitMs,
	);
}

/** Sum of the samples of a metric. */
export async function metricSum(process: DynProcess, name: string): Promise<number> {
	const text = await (await fetch(`${process.address}/metrics`)).text();
	const values = [...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, "gm"))];
	return values.reduce((sum, [, value]) => sum + Number(value), 0);
}
