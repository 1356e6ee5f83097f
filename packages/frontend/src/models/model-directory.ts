// SPDX-License-Identifier: Apache-2.0
import { access } from "node:fs/promises";
import { DynError, type Logger } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import { generateCodec } from "@dyn/protocols/dynamo";
import {
	type EndpointClient,
	type EndpointPath,
	formatEndpointPath,
	type Instance,
	type ModelEntry,
	type Runtime,
} from "@dyn/runtime";
import { type ChatTemplate, loadChatTemplate, loadTokenizer, type Tokenizer } from "@dyn/text";
import { Pulses } from "../migration/pulses.js";
import { type PrefillEndpoint, PrefillWorkers } from "../prefill/prefill-workers.js";
import { cardChecksum } from "./card-checksum.js";
import { fetchModelFiles } from "./fetch-model-files.js";

/** A model that can be served right now. */
export interface ServableModel {
	readonly card: ModelCard;
	readonly tokenizer: Tokenizer;
	readonly template: ChatTemplate;
	readonly client: EndpointClient;
	/** Where it is served, "dyn://namespace.component.endpoint". */
	readonly endpoint: string;
	/** Instances of the endpoint whose cards have this one's checksum. */
	readonly instances: Set<bigint>;
	readonly pulses: Pulses;
	/** Who computes its prompts, now, when it is served by decode workers. */
	prefills(): readonly PrefillEndpoint[];
	/** The same model at other endpoints, now: with an equal checksum, so that any of them can continue what another began. */
	others(): readonly ServableModel[];
}

interface CheckedModel extends ServableModel {
	readonly checksum: string;
}

/** Follows the model cards of discovery and loads tokenizer and template of each, once. */
export class ModelDirectory {
	readonly #runtime: Pick<Runtime, "models" | "endpoint">;
	readonly #cacheDirectory: string;
	readonly #logger: Logger;
	/** By name, one for each endpoint and checksum that serve it, oldest first. The first gets the requests. */
	readonly #models = new Map<string, readonly CheckedModel[]>();
	readonly #prefills: PrefillWorkers;
	readonly #stop = new AbortController();
	readonly #onAdded: (card: ModelCard) => void;

	constructor(
		runtime: Pick<Runtime, "models" | "endpoint">,
		cacheDirectory: string,
		logger: Logger,
		onAdded: (card: ModelCard) => void,
	) {
		this.#runtime = runtime;
		this.#cacheDirectory = cacheDirectory;
		this.#logger = logger;
		this.#onAdded = onAdded;
		this.#prefills = new PrefillWorkers((endpoint) =>
			runtime.endpoint(endpoint).client({ codec: generateCodec }),
		);
		void this.#follow();
	}

	list(): readonly ServableModel[] {
		return [...this.#models.values()].map(([first]) => first!);
	}

	/** Who serves requests, or computes prompts for those that do. */
	instances(): readonly Instance[] {
		const endpoints = [...[...this.#models.values()].flat(), ...this.#prefills.all()];
		return endpoints.flatMap(({ client, instances }) =>
			client.instances().filter(({ id }) => instances.has(id)),
		);
	}

	/** @throws DynError MODEL_NOT_FOUND */
	get(name: string): ServableModel {
		const model = this.#models.get(name)?.[0];
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

	async #add({ card, id, path }: ModelEntry): Promise<void> {
		if (card.workerType === "prefill") {
			this.#prefills.add(card.name, path.namespace, formatEndpointPath(path), id);
			return;
		}
		const checksum = cardChecksum(card);
		const known = this.#at(card.name, path);
		const same = known.find((each) => each.checksum === checksum);
		if (same) {
			same.instances.add(id);
			return;
		}
		if (card.endpointTypes.length === 0) return; // encode workers are not for clients
		const client = this.#runtime.endpoint(path).client({ codec: generateCodec });
		try {
			const tokenizerPath = await this.#tokenizerPath(card);
			const model: CheckedModel = {
				card,
				checksum,
				tokenizer: await loadTokenizer(tokenizerPath),
				template: await loadChatTemplate(tokenizerPath, card.chatTemplatePath ?? undefined),
				client,
				endpoint: formatEndpointPath(path),
				instances: new Set([id]),
				pulses: new Pulses(),
				prefills: () => this.#prefills.of(card.name, path.namespace),
				others: () =>
					(this.#models.get(card.name) ?? []).filter((each) => each !== model && each.checksum === checksum),
			};
			await client.choose().catch(() => {}); // cards come before instances
			this.#models.set(card.name, [...(this.#models.get(card.name) ?? []), model]);
		} catch (error) {
			await client.close();
			throw error;
		}
		if (known.length > 0)
			this.#logger.warn(
				"instances of one endpoint say different things of a model: the newer ones wait until the older are gone",
				{
					model: card.name,
					endpoint: formatEndpointPath(path),
				},
			);
		this.#onAdded(card);
		this.#logger.info("model added", { model: card.name, endpoint: formatEndpointPath(path) });
	}

	/** The worker's own path when it is on this machine, else a folder with the files of the card. */
	async #tokenizerPath({ name, tokenizerPath, files }: ModelCard): Promise<string> {
		if (tokenizerPath !== null) {
			const isHere = await access(tokenizerPath).then(
				() => true,
				() => false,
			);
			if (isHere) return tokenizerPath;
		}
		if (files) return fetchModelFiles(files, this.#cacheDirectory);
		throw new DynError(
			"MODEL_UNAVAILABLE",
			`the card of ${name} names ${tokenizerPath ?? "no tokenizer"}, which is not on this machine, and no files to fetch`,
		);
	}

	async #remove({ card, id, path }: ModelEntry): Promise<void> {
		if (card.workerType === "prefill")
			return this.#prefills.remove(card.name, path.namespace, formatEndpointPath(path), id);
		const known = this.#at(card.name, path).find(({ instances }) => instances.has(id));
		known?.instances.delete(id);
		if (!known || known.instances.size > 0) return;
		const others = this.#models.get(card.name)!.filter((each) => each !== known);
		if (others.length > 0) this.#models.set(card.name, others);
		else this.#models.delete(card.name);
		await known.client.close();
		this.#logger.info("model removed", { model: card.name, endpoint: known.endpoint });
	}

	#at(name: string, path: EndpointPath): readonly CheckedModel[] {
		const endpoint = formatEndpointPath(path);
		return (this.#models.get(name) ?? []).filter((each) => each.endpoint === endpoint);
	}
}
