// SPDX-License-Identifier: Apache-2.0
import type { EndpointClient } from "@dyn/runtime";

/** Prefill workers of one model at one endpoint. */
export interface PrefillEndpoint {
	readonly client: EndpointClient;
	/** Instances of the endpoint whose cards name the model. */
	readonly instances: Set<bigint>;
}

/** Who computes prompts for the decode workers of a model: workers of the same model name in the same namespace. */
export class PrefillWorkers {
	readonly #open: (endpoint: string) => EndpointClient;
	/** By model and namespace, then by endpoint. */
	readonly #groups = new Map<string, Map<string, PrefillEndpoint>>();

	constructor(open: (endpoint: string) => EndpointClient) {
		this.#open = open;
	}

	/** Endpoints that serve prefills now. */
	of(model: string, namespace: string): readonly PrefillEndpoint[] {
		return [...(this.#groups.get(keyOf(model, namespace))?.values() ?? [])];
	}

	all(): readonly PrefillEndpoint[] {
		return [...this.#groups.values()].flatMap((group) => [...group.values()]);
	}

	add(model: string, namespace: string, endpoint: string, instance: bigint): void {
		const key = keyOf(model, namespace);
		const group = this.#groups.get(key) ?? new Map<string, PrefillEndpoint>();
		this.#groups.set(key, group);
		const known = group.get(endpoint) ?? { client: this.#open(endpoint), instances: new Set<bigint>() };
		group.set(endpoint, known);
		known.instances.add(instance);
	}

	async remove(model: string, namespace: string, endpoint: string, instance: bigint): Promise<void> {
		const key = keyOf(model, namespace);
		const group = this.#groups.get(key);
		const known = group?.get(endpoint);
		known?.instances.delete(instance);
		if (!group || !known || known.instances.size > 0) return;
		group.delete(endpoint);
		if (group.size === 0) this.#groups.delete(key);
		await known.client.close();
	}
}

function keyOf(model: string, namespace: string): string {
	return JSON.stringify([model, namespace]);
}
