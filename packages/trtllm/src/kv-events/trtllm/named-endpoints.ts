// SPDX-License-Identifier: Apache-2.0
import type { KvEventEndpoint } from "./open-kv-event-source.js";

/** What of OpenEngine's `KvEventSource` says where to listen. */
export interface NamedKvEventSource {
	readonly transport: string;
	readonly encoding: string;
	readonly endpointAddr?: { readonly host: string; readonly port: number } | undefined;
	readonly topic: string;
	readonly replayEndpoint: string;
	readonly dataParallelRank?: number | undefined;
}

/** The ZeroMQ publishers among the sources that an engine names in its answer to GetKvEventSources. */
export function namedEndpoints(sources: readonly NamedKvEventSource[]): readonly KvEventEndpoint[] {
	return sources.flatMap(({ transport, encoding, endpointAddr, topic, replayEndpoint, dataParallelRank }) => {
		if (transport !== "zmq" || encoding !== "msgpack" || !endpointAddr?.host || !endpointAddr.port) return [];
		const { host, port } = endpointAddr;
		return {
			dpRank: dataParallelRank ?? 0,
			endpoint: `tcp://${host.includes(":") ? `[${host}]` : host}:${port}`,
			replayEndpoint: replayEndpoint || null,
			topic,
		};
	});
}
