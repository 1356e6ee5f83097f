// SPDX-License-Identifier: Apache-2.0
import { loadZmq } from "@dyn/runtime/zmq";
import type { MockerEngine } from "../engine/mocker-engine.js";
import { RankPublisher } from "./rank-publisher.js";
import { trtllmKvEvents } from "./trtllm-events.js";

export interface KvEventPublisherDoubleOptions {
	/** Started, with `remembersTokens`; the double is the one reader of its KV events. */
	readonly engine: MockerEngine;
	/** The engine's. Default 1. */
	readonly dpSize?: number | undefined;
	/** Default 127.0.0.1. */
	readonly host?: string | undefined;
	/** Of rank 0; rank r has the r-th port after it. Default 0: any free one for each. */
	readonly basePort?: number | undefined;
	/** Default "". */
	readonly topic?: string | undefined;
	/** Batches that can be asked for again, per rank. Default 10,000, as in TensorRT-LLM. */
	readonly bufferSteps?: number | undefined;
}

/** TensorRT-LLM's publishers of KV events, one per attention-DP rank. */
export interface KvEventPublisherDouble {
	/** By rank. */
	readonly ranks: readonly RankPublisher[];
	/** Stops publishing; the engine goes on. Idempotent. */
	close(): Promise<void>;
}

/**
 * Publishes what an engine has in its KV cache as TensorRT-LLM does with `kv_events_config`.
 * @throws DynError naming the install command when the package zeromq is missing; the socket's error for a taken port
 */
export async function createKvEventPublisherDouble(
	options: KvEventPublisherDoubleOptions,
): Promise<KvEventPublisherDouble> {
	const { engine, dpSize = 1, host = "127.0.0.1", basePort = 0, topic = "", bufferSteps = 10_000 } = options;
	const zmq = await loadZmq();
	const ranks: RankPublisher[] = [];
	const closeRanks = async () => {
		await Promise.all(ranks.map((rank) => rank.close()));
	};
	try {
		for (let dpRank = 0; dpRank < dpSize; dpRank++) {
			const port = basePort === 0 ? 0 : basePort + dpRank;
			ranks.push(await RankPublisher.open(zmq, { host, port, topic, dpRank, bufferSteps }));
		}
	} catch (error) {
		await closeRanks();
		throw error;
	}
	let isClosed = false;
	void (async () => {
		for await (const { dpRank, event } of trtllmKvEvents(engine)) {
			if (isClosed) return;
			void ranks[dpRank]?.publish([event]);
		}
	})();
	return {
		ranks,
		async close() {
			isClosed = true;
			await closeRanks();
		},
	};
}
