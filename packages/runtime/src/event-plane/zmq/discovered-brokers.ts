// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { WatchedMap } from "../../discovery/watched-map.js";
import { brokerPrefix, decodeBrokerChannel } from "./broker-channel.js";
import type { BrokerSource, ZmqBrokerEndpoints } from "./broker-endpoints.js";
import type { ZmqContext } from "./zmq-context.js";

/** How long the first publisher or subscriber waits for a broker that starts at the same time, ms. */
const WAIT_MS = 5000;

/** The brokers of a namespace that are in discovery, as they come and go. */
export class DiscoveredBrokers implements BrokerSource {
	readonly #brokers: WatchedMap<ZmqBrokerEndpoints | null>;
	readonly #listeners = new Set<() => void>();

	private constructor({ store, logger }: ZmqContext, namespace: string) {
		this.#brokers = new WatchedMap(store, brokerPrefix(namespace), decodeBrokerChannel, logger, () => {
			for (const listener of this.#listeners) listener();
		});
	}

	/** @throws DynError UNAVAILABLE when there is none */
	static async find(context: ZmqContext, namespace: string): Promise<DiscoveredBrokers> {
		const found = new DiscoveredBrokers(context, namespace);
		if (await found.#one()) return found;
		found.close();
		throw new DynError(
			"UNAVAILABLE",
			`discovery knows no broker of events in namespace ${namespace}: start one there, or give its address`,
		);
	}

	get endpoints(): ZmqBrokerEndpoints {
		const all = [...this.#brokers.entries.values()].filter((broker) => broker !== null);
		return { xsub: all.flatMap(({ xsub }) => xsub), xpub: all.flatMap(({ xpub }) => xpub) };
	}

	onChange(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	close(): void {
		this.#brokers.close();
	}

	/** Whether there is one, or comes in time. */
	#one(): Promise<boolean> {
		return new Promise((resolve) => {
			const check = () => {
				if (this.endpoints.xsub.length === 0) return;
				clearTimeout(timer);
				unfollow();
				resolve(true);
			};
			const unfollow = this.onChange(check);
			const timer = setTimeout(() => {
				unfollow();
				resolve(false);
			}, WAIT_MS).unref();
			check();
		});
	}
}
