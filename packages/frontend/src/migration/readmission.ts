// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError, type Logger, linkSignals } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import { type EndpointClient, formatEndpointPath, type Instance } from "@dyn/runtime";
import { attempt } from "./attempt.js";
import type { Served } from "./candidates.js";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** Who left discovery for longer is dead, ms. */
const LONGEST_ABSENCE_MS = 600_000;
/** Time for a whole answer to a probe, ms. */
const PROBE_MS = 10_000;

/** A frozen instance. */
interface Patient {
	readonly id: bigint;
	readonly client: EndpointClient;
	/** Ends the pause before its next health check; nothing while one is under way. */
	hurry(): void;
	/** Hear of the next health check, once. */
	readonly waiting: Set<(answers: boolean) => void>;
}

/** Keeps frozen instances out until they have shown that they work again. */
export class Readmission {
	readonly #logger: Logger;
	readonly #closing = new AbortController();
	/** By model and instance. */
	readonly #patients = new Map<string, Patient>();

	constructor(logger: Logger) {
		this.#logger = logger;
	}

	/**
	 * Requests avoid `instance` until it has answered a health check whole, also when its lease ends while it is frozen and it
	 * comes again. Ends when it does not.
	 */
	quarantine(model: Served, instance: Instance): void {
		model.client.inhibit(instance.id, "admitted");
		const key = keyOf(model, instance);
		// A model that was gone has a new client: who waits for its old one to see the instance again waits in vain.
		if (this.#closing.signal.aborted || this.#patients.get(key)?.client === model.client) return;
		const patient = {
			id: instance.id,
			client: model.client,
			hurry: ignore,
			waiting: new Set<(answers: boolean) => void>(),
		};
		this.#patients.set(key, patient);
		void this.#probe(model, instance, patient).finally(() => {
			if (this.#patients.get(key) === patient) this.#patients.delete(key);
			tell(patient, false);
		});
	}

	/** Ids of the frozen instances of an endpoint. */
	frozen({ client }: Pick<Served, "client">): bigint[] {
		if (this.#patients.size === 0) return [];
		return [...this.#patients.values()].filter((patient) => patient.client === client).map(({ id }) => id);
	}

	/** Whether `instance` works, as far as is known; a frozen one is asked now. False when `signal` aborts. */
	answers(model: Served, instance: Instance, signal: AbortSignal): Promise<boolean> {
		const patient = this.#patients.get(keyOf(model, instance));
		if (!patient) return Promise.resolve(true);
		return new Promise((resolve) => {
			const hear = (answers: boolean) => {
				patient.waiting.delete(hear);
				signal.removeEventListener("abort", leave);
				resolve(answers);
			};
			const leave = () => hear(false);
			if (signal.aborted) return leave();
			signal.addEventListener("abort", leave);
			patient.waiting.add(hear);
			patient.hurry();
		});
	}

	/** Ends all probes. Idempotent. */
	close(): void {
		this.#closing.abort(new DynError("CANCELLED", "the frontend was closed"));
	}

	async #probe({ card, client, instances }: Served, instance: Instance, patient: Patient): Promise<void> {
		const facts = { model: card.name, instance: instance.id.toString(16) };
		this.#logger.warn("instance is silent: it gets no requests until it answers a health check", facts);
		let seenMs = performance.now();
		for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
			await this.#pause(pause, patient);
			if (this.#closing.signal.aborted) return;
			const known = instances.has(instance.id) && client.instances().find(({ id }) => id === instance.id);
			if (!known) {
				tell(patient, false);
				if (performance.now() - seenMs > LONGEST_ABSENCE_MS) return client.admit(instance.id);
				pause = FIRST_PAUSE_MS / 2; // asked soon after it has come again
				continue;
			}
			seenMs = performance.now();
			const answers = await this.#answers({ card, client }, known);
			if (answers) {
				client.admit(instance.id);
				this.#logger.info("instance answers again", facts);
			}
			tell(patient, answers);
			if (answers) return;
		}
	}

	#pause(ms: number, patient: Patient): Promise<void> {
		const { signal } = this.#closing;
		return new Promise((resolve) => {
			const end = () => {
				clearTimeout(timer);
				signal.removeEventListener("abort", end);
				patient.hurry = ignore;
				resolve();
			};
			patient.hurry = end;
			const timer = setTimeout(end, ms).unref();
			signal.addEventListener("abort", end);
		});
	}

	/** Whether one greedy token after one token comes, with a reason to end and a proper end. */
	async #answers({ card, client }: Pick<Served, "card" | "client">, instance: Instance): Promise<boolean> {
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

const ignore = (): void => {};

function keyOf({ card }: Served, { id, path }: Instance): string {
	return `${card.name} ${formatEndpointPath(path)} ${id}`;
}

function tell({ waiting }: Patient, answers: boolean): void {
	for (const hear of waiting) hear(answers);
}
