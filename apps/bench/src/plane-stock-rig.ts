// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeModelFiles } from "@dyn/models";
import { createModelStore, DEFAULT_MODEL } from "@dyn/models/store";

/** Who works behind the stock frontend; also the name of the model that clients ask for. */
export const WORKERS = ["ours", "mocker"] as const;
export type WorkerName = (typeof WORKERS)[number];

export interface StockRig {
	/** Of the stock frontend, such as http://127.0.0.1:8000. */
	readonly address: string;
	readonly pids: Readonly<Record<WorkerName | "frontend", number>>;
	close(): Promise<void>;
}

interface StockProcess {
	readonly address: string;
	readonly pid: number;
	kill(signal: string): Promise<unknown>;
}

/** What the scripts of stock Dynamo give; they are of the repository and of no package. */
interface StockScripts {
	startStockFrontend(options: object): Promise<StockProcess>;
	startStockMocker(options: object): Promise<StockProcess>;
}

/** A stock frontend in front of our worker and of the stock mocker, over a folder of their own. @throws Error telling how to install it */
export async function startStockRig(): Promise<StockRig> {
	const scripts = new URL("../../../scripts/peers/stock-dynamo.mjs", import.meta.url).href;
	const { startStockFrontend, startStockMocker } = (await import(scripts)) as StockScripts;
	const folder = await mkdtemp(join(tmpdir(), "dyn-bench-stock-"));
	const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })];
	const close = async () => {
		for (const each of closers.splice(0).reverse()) await each();
	};
	try {
		const gguf = (await createModelStore().resolve(DEFAULT_MODEL, { pull: true })).path;
		const modelDirectory = dirname((await describeModelFiles(gguf, join(folder, "model"))).config.path);
		const store = join(folder, "store");
		const common = { store, env: { HOME: folder } };
		const ours = await startOurs(store, modelDirectory);
		closers.push(ours.close);
		const flags = ["--endpoint", "dyn://dynamo.mocker.generate", "--speedup-ratio", "1000000"];
		const limits = ["--max-model-len", "8192", "--block-size", "32"];
		const mocker = await startStockMocker({
			...common,
			modelDirectory,
			modelName: "mocker",
			flags: [...flags, ...limits],
		});
		closers.push(() => mocker.kill("SIGKILL"));
		const frontend = await startStockFrontend(common);
		closers.push(() => frontend.kill("SIGKILL"));
		const pids = { ours: ours.pid, mocker: mocker.pid, frontend: frontend.pid };
		return { address: frontend.address, pids, close };
	} catch (error) {
		await close();
		throw error;
	}
}

async function startOurs(store: string, modelDirectory: string) {
	const worker = fileURLToPath(new URL("./plane-stock-worker.js", import.meta.url));
	// Node's own flags, such as --cpu-prof, are for the worker too.
	const child = spawn(process.execPath, [...process.execArgv, worker, store, modelDirectory, "ours"], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
	const ready = new Promise<true>((resolve) => child.stdout.once("data", () => resolve(true)));
	if (!(await Promise.race([ready, ended]))) throw new Error("our worker did not start");
	return {
		pid: child.pid!,
		close: async () => {
			child.stdin.end();
			await ended;
		},
	};
}
