// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import type { EndpointClient, ModelEntry, Runtime } from "@dyn/runtime";
import { type ChatTemplate, loadChatTemplate, loadTokenizer, type Tokenizer } from "@dyn/text";

/** A model that can be served right now. */
export interface ServableModel {
	readonly card: ModelCard;
	readonly tokenizer: Tokenizer;
	readonly template: ChatTemplate;
	readonly client: EndpointClient;
	/** Its endpoint, `dyn://…`, and instances. */
	readonly instances: Map<number, ModelEntry>;
}

/** Follows the model cards of discovery and loads tokenizer and template of each, once. */
export class ModelDirectory {
	readonly #runtime: Runtime;
	readonly #logger: Logger;
	readonly #models = new Map<string, ServableModel>();
	readonly #stop = new AbortController();
	readonly #onAdded: (card: ModelCard) => void;

	constructor(runtime: Runtime, logger: Logger, onAdded: (card: ModelCard) => void) {
		this.#runtime = runtime;
		this.#logger = logger;
		this.#onAdded = onAdded;
		void this.#follow();
	}

	list(): readonly ServableModel[] {
		return [...this.#models.values()];
	}

	/** @throws DynError MODEL_NOT_FOUND */
	get(name: string): ServableModel {
		const model = this.#models.get(name);
		if (model) return model;
		throw new DynError(
			"MODEL_NOT_FOUND",
			`Model not found: ${name.slice(0, 200)}; GET /v1/models lists what is served`,
			{ details: { param: "model" } },
		);
	}

	close(): void {
		this.#stop.abort();
	}

	async #follow(): Promise<void> {
		for await (const { type, entry } of this.#runtime.models.watch(this.#stop.signal)) {
			try {
				if (type === "added") await this.#add(entry);
				else await this.#remove(entry);
			} catch (error) {
				this.#logger.error("model cannot be served", { model: entry.card.name, error });
			}
		}
	}

	async #add(entry: ModelEntry): Promise<void> {
		const { card, instance } = entry;
		const known = this.#models.get(card.name);
		if (known) {
			known.instances.set(instance.id, entry);
			return;
		}
		const tokenizer = await loadTokenizer(card.tokenizerPath);
		const template = await loadChatTemplate(card.tokenizerPath, card.chatTemplatePath ?? undefined);
		const client = this.#runtime.endpoint(instance.path).client();
		this.#models.set(card.name, {
			card,
			tokenizer,
			template,
			client,
			instances: new Map([[instance.id, entry]]),
		});
		this.#onAdded(card);
		this.#logger.info("model added", { model: card.name });
	}

	async #remove({ card, instance }: ModelEntry): Promise<void> {
		const known = this.#models.get(card.name);
		known?.instances.delete(instance.id);
		if (!known || known.instances.size > 0) return;
		this.#models.delete(card.name);
		await known.client.close();
		this.#logger.info("model removed", { model: card.name });
	}
}
