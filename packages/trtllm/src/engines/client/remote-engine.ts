// SPDX-License-Identifier: Apache-2.0
import { DynError, linkSignals, type RequestContext } from "@dyn/common";
import {
	ActiveRequests,
	checkFeatures,
	type Engine,
	type EngineHealth,
	type EngineInfo,
	type EngineLoad,
} from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { AnswerReader } from "./answer-reader.js";
import { type RequestTerms, termsOf } from "./request-terms.js";
import type { ServerEvent } from "./server-event.js";

export interface RemoteCall {
	readonly requestId: string;
	readonly terms: RequestTerms;
	/** Aborting it must end the iteration at once, with an error. */
	readonly signal: AbortSignal;
	readonly context: RequestContext;
}

/** A server of TensorRT-LLM to which there is a connection. */
export interface RemoteServer {
	readonly info: EngineInfo;
	/** @throws DynError UNIMPLEMENTED or INVALID_ARGUMENT before anything is sent, else what the server said */
	ask(request: GenerateRequest, call: RemoteCall): AsyncIterable<ServerEvent>;
	/** Says that nobody waits for the answer any more. Never throws. */
	abort(requestId: string): void;
	health(): EngineHealth;
	/** @param own what follows from the requests of this client alone */
	load(own: EngineLoad): EngineLoad;
	close(): void;
}

/** The contract over any protocol of TensorRT-LLM's that knows no KV events. */
export class RemoteEngine implements Engine {
	readonly #connect: (signal: AbortSignal) => Promise<RemoteServer>;
	readonly #closing = new AbortController();
	readonly #active = new ActiveRequests<AnswerReader>();
	#server: RemoteServer | null = null;
	#isDraining = false;

	constructor(connect: (signal: AbortSignal) => Promise<RemoteServer>) {
		this.#connect = connect;
	}

	async start(): Promise<EngineInfo> {
		const server = await this.#connect(this.#closing.signal);
		this.#server = server;
		if (this.#closing.signal.aborted) server.close();
		return server.info;
	}

	async *generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		const server = this.#running();
		checkFeatures(request, server.info.capabilities.features);
		const terms = termsOf(request, server.info);
		const requestId = this.#active.freeId(context.id);
		const reader = new AnswerReader(request, terms);
		const { signal, unlink } = linkSignals(context.signal, this.#closing.signal);
		let isSent = false;
		this.#active.add(requestId, reader);
		try {
			if (signal.aborted) {
				yield* reader.cancelled();
				return;
			}
			const events = server.ask(request, { requestId, terms, signal, context });
			isSent = true;
			try {
				for await (const event of events) {
					const output = reader.read(event);
					if (output) yield output;
					if (reader.openChoices === 0) return;
				}
			} catch (error) {
				if (!signal.aborted) throw error;
				yield* reader.cancelled();
				return;
			}
			throw new DynError(
				"DISCONNECTED",
				"TensorRT-LLM's server ended its answer before all choices had ended; look at its log",
			);
		} finally {
			unlink();
			// The call is cancelled by now, but a server need not free a request for that alone.
			if (isSent && (signal.aborted || reader.openChoices > 0)) server.abort(requestId);
			this.#active.remove(requestId);
			if (this.#closing.signal.aborted) this.#disconnect();
		}
	}

	/** None: router and worker learn of blocks in other ways (ZeroMQ). */
	async *kvEvents(): AsyncIterable<KvEvent> {}

	load(): readonly EngineLoad[] {
		if (!this.#server) return [];
		const { kvBlockSize, totalKvBlocks } = this.#server.info;
		const readers = [...this.#active.values()];
		return [
			this.#server.load({
				dpRank: 0,
				runningSequences: readers.reduce((sum, { openChoices }) => sum + openChoices, 0),
				waitingSequences: 0,
				activeKvBlocks: readers.reduce((sum, { kvTokens }) => sum + Math.ceil(kvTokens / kvBlockSize), 0),
				cachedKvBlocks: 0,
				totalKvBlocks,
			}),
		];
	}

	health(): EngineHealth {
		return this.#server?.health() ?? { status: "restarting", reason: "not connected yet" };
	}

	async drain(): Promise<void> {
		this.#isDraining = true;
		await this.#active.idle();
	}

	async close(): Promise<void> {
		this.#closing.abort();
		this.#disconnect();
	}

	#running(): RemoteServer {
		if (this.#closing.signal.aborted) throw new DynError("UNAVAILABLE", "the engine is closed");
		if (!this.#server) throw new DynError("UNAVAILABLE", "the engine has not started; await start() first");
		if (this.#isDraining) throw new DynError("DRAINING", "the engine takes no new requests");
		return this.#server;
	}

	/** Once nothing runs: the last aborts still need the connection. */
	#disconnect(): void {
		if (this.#active.size === 0) this.#server?.close();
	}
}
