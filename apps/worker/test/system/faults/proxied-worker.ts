// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KeyValueStore } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { ChaosProxy } from "../../chaos-proxy.js";
import type { DynProcess } from "../../dyn-process.js";
import type { Deployment } from "./deployment.js";

/** A light worker that a deployment's frontends reach through a proxy, and through nothing else. */
export class ProxiedWorker implements AsyncDisposable {
	readonly process: DynProcess;
	readonly proxy: ChaosProxy;
	readonly #folder: string;
	readonly #stores: readonly KeyValueStore[];

	private constructor(process: DynProcess, proxy: ChaosProxy, folder: string, stores: KeyValueStore[]) {
		this.process = process;
		this.proxy = proxy;
		this.#folder = folder;
		this.#stores = stores;
	}

	/** The worker registers in a folder of its own; its records come into the deployment's with the proxy's address. */
	static async start(deployment: Deployment): Promise<ProxiedWorker> {
		const folder = mkdtempSync(join(tmpdir(), "dyn-proxied-"));
		const process = await deployment.light({ folder });
		const own = createFileStore({ directory: folder });
		const shared = createFileStore({ directory: deployment.folder });
		const lease = await shared.lease();
		const [[cardKey, card]] = await entries(own, "v1/mdc/");
		const [[key, instance]] = await entries(own, "v1/instances/");
		const { tcp } = JSON.parse(instance).transport;
		const worker = tcp.slice(0, tcp.indexOf("/"));
		const proxy = await ChaosProxy.start(worker);
		await shared.put(key, instance.replace(worker, proxy.address), lease);
		await shared.put(cardKey, card, lease);
		return new ProxiedWorker(process, proxy, folder, [own, shared]);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.process[Symbol.asyncDispose]();
		await Promise.all(this.#stores.map((store) => store.close()));
		await this.proxy[Symbol.asyncDispose]();
		rmSync(this.#folder, { recursive: true, force: true });
	}
}

/** What is under a prefix now; at least one entry. */
async function entries(
	store: KeyValueStore,
	prefix: string,
): Promise<[[string, string], ...[string, string][]]> {
	const found: [string, string][] = [];
	for await (const event of store.watch(prefix, new AbortController().signal)) {
		if (event.type === "put") found.push([event.key, event.value]);
		else if (event.type === "synced") break;
	}
	const [first, ...rest] = found;
	if (!first) throw new Error(`nothing under ${prefix}`);
	return [first, ...rest];
}
