// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describeModelFiles } from "@dyn/models";
import { createModelStore, DEFAULT_MODEL } from "@dyn/models/store";
// @boundaries-ignore test support of another package; install: node scripts/peers/install-etcd.mjs
import { EtcdServer, etcdMissing } from "../../../../../packages/runtime/test/etcd-server.js";
// @boundaries-ignore scripts that .ci/run uses too; install: node scripts/peers/install-dynamo.mjs
import { DYNAMO_FOLDER, pythonOf } from "../../../../../scripts/peers/dynamo-folder.mjs";
// @boundaries-ignore as above
import { type Peer, startPeer } from "../../../../../scripts/peers/peer-process.mjs";
// @boundaries-ignore as above
import { startStockFrontend, startStockMocker } from "../../../../../scripts/peers/stock-dynamo.mjs";

const cli = fileURLToPath(new URL("../../../dist/main.js", import.meta.url));

/** Where the processes of a deployment find each other. */
export type Discovery = "file" | "etcd";
/** How requests to a worker are written; its record in discovery says it. */
export type Codec = "json" | "msgpack";

/** A process; `address` is of its HTTP server. */
export type Process = Peer & { readonly address: string };

export interface WorkerOptions {
	/** Default: the name of the model, since the workers of one endpoint must serve the same model. */
	readonly component?: string;
	readonly codec?: Codec;
	readonly flags?: readonly string[];
}

/** Why stock Dynamo and etcd cannot be tested with here, or null. */
export function peersMissing(): string | null {
	const missing = existsSync(pythonOf(DYNAMO_FOLDER))
		? etcdMissing()
		: "no stock Dynamo: node scripts/peers/install-dynamo.mjs";
	if (missing) console.warn(`tests with stock Dynamo skipped: ${missing}`);
	return missing;
}

/** Our processes and stock ones that find each other, away from any other deployment; disposing of it ends them all. */
export class Deployment implements AsyncDisposable {
	readonly #folder: string;
	readonly #etcd: EtcdServer | null;
	readonly #processes: Process[] = [];

	private constructor(folder: string, etcd: EtcdServer | null) {
		this.#folder = folder;
		this.#etcd = etcd;
	}

	static async start(discovery: Discovery = "file"): Promise<Deployment> {
		const folder = await mkdtemp(join(tmpdir(), "dyn-deployment-"));
		return new Deployment(folder, discovery === "etcd" ? await EtcdServer.start() : null);
	}

	/** What `dyn-worker` and stock Dynamo are told about discovery. */
	get discovery(): { readonly etcd: string } | { readonly store: string } {
		return this.#etcd ? { etcd: this.#etcd.endpoint } : { store: join(this.#folder, "store") };
	}

	/** Resolves when it serves SmolLM2 with the embedded engine; `address` is of its status server. */
	worker(
		name: string,
		{ component = name, codec = "msgpack", flags = [] }: WorkerOptions = {},
	): Promise<Process> {
		const naming = ["--served-model-name", name, "--component-name", component];
		const how = ["--request-plane-codec", codec, "--system-port", "0", "--grace-period", "0"];
		return this.#ours("worker", [...naming, ...how, ...flags], /status at (\S+)\/health/);
	}

	frontend(flags: readonly string[] = []): Promise<Process> {
		return this.#ours("frontend", ["--http-port", "0", ...flags], /frontend at (\S+)/);
	}

	stockFrontend(flags: readonly string[] = []): Promise<Process> {
		const env = { HOME: this.#folder };
		return this.#keep(startStockFrontend({ ...this.discovery, env, flags: [...flags] }));
	}

	/** SmolLM2's tokenizer and configuration as Hugging Face has them. */
	async modelFolder(): Promise<string> {
		const gguf = (await createModelStore().resolve(DEFAULT_MODEL, { pull: true })).path;
		return dirname((await describeModelFiles(gguf, join(this.#folder, "model-files"))).config.path);
	}

	/** A worker that says anything, with SmolLM2's tokenizer and limits. */
	async stockMocker(
		name: string,
		{ component = name, codec = "msgpack", flags = [] }: WorkerOptions = {},
	): Promise<Process> {
		const limits = ["--block-size", "32", "--max-model-len", "8192"];
		return this.#keep(
			startStockMocker({
				...this.discovery,
				// Its lease in etcd lasts 30 s unless told otherwise; ours and those of files last 10 s.
				env: { HOME: this.#folder, DYN_REQUEST_PLANE_CODEC: codec, ETCD_LEASE_TTL: "10" },
				modelDirectory: await this.modelFolder(),
				modelName: name,
				flags: ["--endpoint", `dyn://dynamo.${component}.generate`, ...limits, ...flags],
			}),
		);
	}

	/** Ends everything at once. */
	async [Symbol.asyncDispose](): Promise<void> {
		await Promise.all(this.#processes.map((each) => each.kill("SIGKILL")));
		await this.#etcd?.dispose();
		await rm(this.#folder, { recursive: true, force: true });
	}

	#ours(command: "worker" | "frontend", flags: readonly string[], ready: RegExp): Promise<Process> {
		const discovery = this.#etcd
			? ["--discovery-backend", "etcd", "--etcd-endpoints", this.#etcd.endpoint]
			: ["--file-kv", join(this.#folder, "store")];
		const started = startPeer({
			name: `dyn-worker ${command}`,
			command: process.execPath,
			args: [cli, command, ...discovery, ...flags],
			// The frontend's cache of what it fetches is below the home folder; the worker's model is below the real one.
			env: command === "frontend" ? { HOME: this.#folder } : {},
			ready: (log: string) => ready.exec(log)?.[1],
		});
		return this.#keep(started.then(({ value, peer }) => ({ address: value!, ...peer })));
	}

	async #keep(started: Promise<Process>): Promise<Process> {
		const process = await started;
		this.#processes.push(process);
		return process;
	}
}
