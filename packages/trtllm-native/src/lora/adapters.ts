// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { LoraAdapter, LoraAdapters } from "@dyn/engine";
import type { AdapterPart } from "./adapter-weights.js";

export interface AdapterTools {
	/** @throws DynError when there is no adapter that fits the model */
	read(path: string): Promise<readonly AdapterPart[]>;
	load(id: number, parts: readonly AdapterPart[]): void;
	unload(id: number): void;
}

interface Entry extends LoraAdapter {
	readonly id: number;
	/** Requests under way that use it. */
	users: number;
	/** Set when it is to go; called when nobody uses it any more. */
	onUnused: (() => void) | null;
}

/** A request's hold on an adapter. */
export interface AdapterUse {
	readonly id: number;
	/** Once. */
	release(): void;
}

/** The adapters of an engine, by name. What requests use stays until they have ended. */
export class Adapters implements LoraAdapters {
	readonly #tools: AdapterTools;
	readonly #loaded = new Map<string, Entry>();
	/** Names that are being loaded or unloaded. */
	readonly #busy = new Set<string>();
	readonly #watchers: (() => void)[] = [];
	#ids = 0;

	constructor(tools: AdapterTools) {
		this.#tools = tools;
	}

	/** @param clear forgets cached blocks: another adapter may get the name, by which blocks are told apart */
	watchUnloads(clear: () => void): void {
		this.#watchers.push(clear);
	}

	async load(name: string, path: string): Promise<LoraAdapter> {
		if (name === "") throw invalidArgument("lora_name", "an adapter needs a name");
		this.#requireIdle(name);
		const known = this.#loaded.get(name);
		if (known?.path === path) return { name, path };
		if (known)
			throw invalidArgument(
				"lora_name",
				`adapter ${name} is loaded from ${known.path}; unload it first, or choose another name`,
			);
		this.#busy.add(name);
		try {
			const parts = await this.#tools.read(path);
			const id = ++this.#ids;
			this.#tools.load(id, parts);
			this.#loaded.set(name, { name, path, id, users: 0, onUnused: null });
			return { name, path };
		} finally {
			this.#busy.delete(name);
		}
	}

	async unload(name: string): Promise<void> {
		this.#requireIdle(name);
		const entry = this.#get(name);
		this.#busy.add(name);
		try {
			if (entry.users > 0)
				await new Promise<void>((resolve) => {
					entry.onUnused = resolve;
				});
			this.#tools.unload(entry.id);
			for (const clear of this.#watchers) clear();
		} finally {
			this.#loaded.delete(name);
			this.#busy.delete(name);
		}
	}

	list(): readonly LoraAdapter[] {
		return [...this.#loaded.values()].map(({ name, path }) => ({ name, path }));
	}

	/** @throws DynError NOT_FOUND when there is no such adapter, or it is on its way out */
	use(name: string): AdapterUse {
		const entry = this.#get(name);
		if (this.#busy.has(name)) throw notLoaded(name);
		entry.users++;
		return {
			id: entry.id,
			release: () => {
				if (--entry.users === 0) entry.onUnused?.();
			},
		};
	}

	#get(name: string): Entry {
		const entry = this.#loaded.get(name);
		if (!entry) throw notLoaded(name);
		return entry;
	}

	#requireIdle(name: string): void {
		if (!this.#busy.has(name)) return;
		throw new DynError("OVERLOADED", `adapter ${name} is being loaded or unloaded; try again`);
	}
}

function notLoaded(name: string): DynError {
	return new DynError("NOT_FOUND", `no adapter named ${JSON.stringify(name.slice(0, 80))} is loaded`, {
		details: { param: "lora_name" },
	});
}
