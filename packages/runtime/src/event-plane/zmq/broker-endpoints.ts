// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** One entry per broker, as in `tcp://10.0.0.7:5555`. */
export interface ZmqBrokerEndpoints {
	/** Where publishers connect. */
	readonly xsub: readonly string[];
	/** Where subscribers connect. */
	readonly xpub: readonly string[];
}

/**
 * Dynamo's DYN_ZMQ_BROKER_URL: `xsub=tcp://a:5555;tcp://b:5555 , xpub=tcp://a:5556;tcp://b:5556`.
 * @throws DynError INVALID_ARGUMENT
 */
export function parseZmqBrokerUrl(text: string): ZmqBrokerEndpoints {
	const found = new Map<string, string[]>();
	for (const part of text.split(",")) {
		const [, side, urls] = /^\s*(xsub|xpub)=(.*)$/.exec(part) ?? [];
		const list = (urls ?? "").split(";").map((url) => url.trim());
		found.set(side ?? "", list.filter(Boolean));
	}
	const { xsub = [], xpub = [] } = Object.fromEntries(found);
	if (found.size !== 2 || xsub.length === 0 || xpub.length === 0)
		throw new DynError(
			"INVALID_ARGUMENT",
			`"${text}" names no broker; write xsub=tcp://host:5555 , xpub=tcp://host:5556, more with semicolons`,
		);
	return { xsub, xpub };
}

/** Brokers that are given, or found. */
export interface BrokerSource {
	readonly endpoints: ZmqBrokerEndpoints;
	/** Told when `endpoints` has changed. Returns what ends that. */
	onChange(listener: () => void): () => void;
	close(): void;
}

/** The given brokers, for good. */
export function fixedBrokers(endpoints: ZmqBrokerEndpoints): BrokerSource {
	return { endpoints, onChange: () => () => {}, close: () => {} };
}
