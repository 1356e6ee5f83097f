// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument, type Logger } from "@dyn/common";
import type { Engine, LoraAdapters } from "@dyn/engine";
import type { WorkerCards } from "./worker-cards.js";

/** An adapter that a worker serves as a model. */
export interface WorkerAdapter {
	readonly name: string;
	readonly path: string;
	/** Counts the adapters of this worker from 1, in the order in which they came. */
	readonly id: number;
}

/** The LoRA adapters of a worker, each a model of its own to clients: they come and go while it serves. */
export class WorkerAdapters {
	readonly #engine: Engine;
	readonly #modelName: string;
	readonly #cards: Pick<WorkerCards, "add" | "remove">;
	readonly #logger: Logger;
	readonly #ids = new Map<string, number>();
	#lastId = 0;

	constructor(engine: Engine, modelName: string, cards: Pick<WorkerCards, "add" | "remove">, logger: Logger) {
		this.#engine = engine;
		this.#modelName = modelName;
		this.#cards = cards;
		this.#logger = logger;
	}

	list(): readonly WorkerAdapter[] {
		return (this.#engine.lora?.list() ?? []).map(({ name, path }) => ({ name, path, id: this.#idOf(name) }));
	}

	/**
	 * Loads an adapter and tells discovery of it: a model of that name. Again from the same folder it does nothing.
	 * @throws DynError UNIMPLEMENTED when the engine has no adapters; INVALID_ARGUMENT for a name that is taken; as
	 * `LoraAdapters.load`
	 */
	async load(
		name: string,
		folder: string,
	): Promise<{ readonly adapter: WorkerAdapter; readonly known: boolean }> {
		const lora = this.#lora();
		if (name === this.#modelName)
			throw invalidArgument("lora_name", `${name} is the name of the model; choose another one`);
		const known = lora.list().some((each) => each.name === name && each.path === folder);
		await lora.load(name, folder);
		if (!known) {
			try {
				await this.#cards.add(name);
			} catch (error) {
				await lora.unload(name);
				throw error;
			}
			this.#logger.info("adapter loaded", { adapter: name, folder });
		}
		return { adapter: { name, path: folder, id: this.#idOf(name) }, known };
	}

	/**
	 * Takes an adapter out of discovery, refuses new requests for it, and resolves when those that run have ended and it is gone.
	 * @throws DynError NOT_FOUND, OVERLOADED while it is being unloaded
	 */
	async unload(name: string): Promise<WorkerAdapter> {
		const lora = this.#lora();
		const adapter = this.list().find((each) => each.name === name);
		if (!adapter) {
			const all = lora.list().map((each) => each.name);
			throw new DynError(
				"NOT_FOUND",
				`no adapter named ${JSON.stringify(name.slice(0, 80))} is loaded; there are: ${all.join(", ") || "none"}`,
				{ details: { param: "lora_name" } },
			);
		}
		await this.#cards.remove(name);
		await lora.unload(name);
		this.#ids.delete(name);
		this.#logger.info("adapter unloaded", { adapter: name });
		return adapter;
	}

	#lora(): LoraAdapters {
		if (this.#engine.lora) return this.#engine.lora;
		throw new DynError("UNIMPLEMENTED", "the engine of this worker loads no LoRA adapters");
	}

	#idOf(name: string): number {
		const known = this.#ids.get(name);
		if (known !== undefined) return known;
		this.#ids.set(name, ++this.#lastId);
		return this.#lastId;
	}
}
