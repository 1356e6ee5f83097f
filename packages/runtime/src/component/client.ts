// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, type RequestContext } from "@dyn/common";
import { endpointKey } from "../discovery/instance-key.js";
import { INSTANCES_PREFIX, type KeyValueStore } from "../discovery/key-value-store.js";
import { WatchedMap } from "../discovery/watched-map.js";
import type { RequestTransport } from "../request-plane/request-transport.js";
import type { EndpointClient, EndpointPath, GenerateOptions, Instance } from "../types.js";
import { formatEndpointPath } from "./endpoint-path.js";

/** Follows an endpoint's instances and sends requests to them in turn. */
export class DiscoveryClient implements EndpointClient {
	readonly #path: EndpointPath;
	readonly #transport: RequestTransport;
	readonly #instances: WatchedMap<Instance>;
	readonly #onClose: (client: DiscoveryClient) => void;
	#turn = 0;

	constructor(
		path: EndpointPath,
		store: KeyValueStore,
		transport: RequestTransport,
		logger: Logger,
		onClose: (client: DiscoveryClient) => void,
	) {
		this.#path = path;
		this.#transport = transport;
		this.#instances = new WatchedMap(store, INSTANCES_PREFIX + endpointKey(path), logger);
		this.#onClose = onClose;
	}

	instances(): readonly Instance[] {
		return [...this.#instances.entries.values()].sort((a, b) => a.id - b.id);
	}

	async *generate(
		request: unknown,
		context: RequestContext,
		options: GenerateOptions = {},
	): AsyncGenerator<unknown, void> {
		await this.#instances.synced; // a client that was just made must not overlook who is there
		yield* this.#transport.call(this.#choose(options.instanceId), request, context);
	}

	async close(): Promise<void> {
		this.#instances.close();
		this.#onClose(this);
	}

	#choose(instanceId: number | undefined): Instance {
		const instances = this.instances();
		const chosen =
			instanceId === undefined
				? instances[this.#turn++ % instances.length]
				: instances.find(({ id }) => id === instanceId);
		if (chosen) return chosen;
		const which = instanceId === undefined ? "no instance" : `not instance ${instanceId}`;
		throw new DynError(
			"UNAVAILABLE",
			`${formatEndpointPath(this.#path)} has ${which} that could take the request; start a worker or retry later`,
		);
	}
}
