// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError, type Logger, linkSignals } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import type { Instance } from "@dyn/runtime";
import type { ServableModel } from "../models/model-directory.js";
import { attempt } from "./attempt.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** Time for a whole answer to a probe, ms. */
const PROBE_MS = 10_000;

type Served = Pick<ServableModel, "card" | "client" | "instances">;

/** Keeps frozen instances out until they have shown that they work again. */
export class Readmission {
	readonly #logger: Logger;
	readonly #closing = new AbortController();
	/** Model and instance of the probes that are under way. */
	readonly #probed = new Set<string>();

	constructor(logger: Logger) {
		this.#logger = logger;
	}

	/** Requests avoid `instance` until it has answered a health check whole. Ends when it leaves discovery. */
	quarantine(model: Served, instance: Instance): void {
		model.client.inhibit(instance.id, "admitted");
		const key = `${model.card.name} ${instance.id}`;
		if (this.#closing.signal.aborted || this.#probed.has(key)) return;
		this.#probed.add(key);
		void this.#probe(model, instance).finally(() => this.#probed.delete(key));
	}

	/** Ends all probes. Idempotent. */
	close(): void {
		this.#closing.abort(new DynError("CANCELLED", "the frontend was closed"));
	}

	async #probe({ card, client, instances }: Served, instance: Instance): Promise<void> {
		const facts = { model: card.name, instance: instance.id.toString(16) };
		this.#logger.warn("instance is silent: it gets no requests until it answers a health check", facts);
		for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
			await this.#pause(pause);
			if (this.#closing.signal.aborted) return;
			if (!instances.has(instance.id) || !client.instances().some(({ id }) => id === instance.id)) return;
			if (await this.#answers({ card, client, instances }, instance)) {
				client.admit(instance.id);
				this.#logger.info("instance answers again", facts);
				return;
			}
		}
	}

	#pause(ms: number): Promise<void> {
		const { signal } = this.#closing;
		return new Promise((resolve) => {
			const end = () => {
				clearTimeout(timer);
				signal.removeEventListener("abort", end);
				resolve();
			};
			const timer = setTimeout(end, ms).unref();
			signal.addEventListener("abort", end);
		});
	}

	/** Whether one greedy token after one token comes, with a reason to end and a proper end. */
	async #answers({ card, client }: Served, instance: Instance): Promise<boolean> {
		const deadline = new AbortController();
		const timer = setTimeout(() => deadline.abort(), PROBE_MS).unref();
		const { signal, unlink } = linkSignals(this.#closing.signal, deadline.signal);
		const request = createGenerateRequest({
			model: card.name,
			tokenIds: [card.eosTokenIds[0] ?? 0],
			sampling: { temperature: 0 },
			stop: { maxTokens: 1 },
			routing: { priority: 1 }, // before what waits: load is no illness
			healthCheck: true,
		});
		const call = (signal: AbortSignal) =>
			client.call(instance, request, createRequestContext({ signal, logger: this.#logger }));
		let finished = false;
		try {
			const patience = { firstTokenMs: PROBE_MS, stallMs: PROBE_MS, onStall: () => null };
			for await (const { finishReason } of attempt(call, signal, patience))
				finished ||= finishReason !== null && finishReason !== "cancelled";
			return finished;
		} catch {
			return false;
		} finally {
			clearTimeout(timer);
			unlink();
		}
	}
}
