// SPDX-License-Identifier: Apache-2.0
import type { GenerateRequest } from "@dyn/protocols";
import type { Instance } from "@dyn/runtime";
import type { ServableModel } from "../models/model-directory.js";
import type { Readmission } from "./readmission.js";

/** Instances of one endpoint that serve a model. */
export type Served = Pick<ServableModel, "card" | "client" | "instances" | "pulses" | "prefills">;

/** Where requests for a model go, and where else they can. */
export interface Servable extends Served {
	others(): readonly Served[];
}

/** An instance and how it is reached. */
export interface Candidate {
	readonly served: Served;
	readonly instance: Instance;
}

/** Who may work on one request: instances of its model's endpoint, then those of other endpoints with an equal card. */
export class Candidates {
	readonly #model: Servable;
	readonly #request: GenerateRequest;
	readonly #readmission: Readmission;
	/** Instances that failed this request. A process may serve several endpoints under one id: it failed for all of them. */
	readonly #failed = new Set<bigint>();

	constructor(model: Servable, request: GenerateRequest, readmission: Readmission) {
		this.#model = model;
		this.#request = request;
		this.#readmission = readmission;
	}

	failed({ instance }: Candidate): void {
		this.#failed.add(instance.id);
	}

	/** Whether somebody other than `instance` could take the request over now. */
	hasOther(instance: Instance): boolean {
		return this.#live().some((other) => other.instance.id !== instance.id && !this.#isFrozen(other));
	}

	/**
	 * Who gets the request first: a frozen instance is better than none.
	 * @param instanceId the only one that may get it, or null
	 * @throws DynError UNAVAILABLE
	 */
	async first(instanceId: bigint | null): Promise<Candidate> {
		const fit = instanceId === null ? await this.#fit() : null;
		if (fit) return fit;
		const pin = instanceId === null ? {} : { instanceId };
		let unavailable: unknown;
		for (const served of this.#served()) {
			try {
				return { served, instance: await served.client.choose({ among: served.instances, ...pin }) };
			} catch (error) {
				unavailable ??= error;
			}
		}
		throw unavailable;
	}

	/** Who takes the request over: nobody that failed it, and a frozen one only when it answers a health check now. */
	async next(signal: AbortSignal): Promise<Candidate | null> {
		const fit = await this.#fit();
		if (fit) return fit;
		const checks = this.#live().map(async (candidate) => {
			const { served, instance } = candidate;
			const answers = await this.#readmission.answers(served, instance, signal);
			return answers ? candidate : Promise.reject();
		});
		return Promise.any(checks).catch(() => null);
	}

	/** One in turn that neither failed nor is frozen. */
	async #fit(): Promise<Candidate | null> {
		for (const served of this.#served()) {
			const frozen = this.#readmission.frozen(served);
			const exclude = frozen.length > 0 ? new Set([...this.#failed, ...frozen]) : this.#failed;
			const instance = await served.client.choose({ among: served.instances, exclude }).catch(() => null);
			if (instance) return { served, instance };
		}
		return null;
	}

	/** Those that have not failed. */
	#live(): Candidate[] {
		return this.#served().flatMap((served) =>
			served.client
				.instances()
				.filter(({ id }) => served.instances.has(id) && !this.#failed.has(id))
				.map((instance) => ({ served, instance })),
		);
	}

	#isFrozen({ served, instance }: Candidate): boolean {
		return this.#readmission.frozen(served).includes(instance.id);
	}

	/** An equal checksum says nothing of what Dynamo's cards have no field for. */
	#served(): Served[] {
		const { sampling, output, logitsProcessors, guided } = this.#request;
		const others = this.#model
			.others()
			.filter(
				({ card }) =>
					(sampling.n ?? 1) <= card.maxChoices &&
					(output.logprobs === null || card.logprobs) &&
					(guided === null || (card.resumesGuided ?? false) === (this.#model.card.resumesGuided ?? false)) &&
					logitsProcessors.every(({ name }) => card.logitsProcessors.includes(name)),
			);
		return [this.#model, ...others];
	}
}
