// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, DynError } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";

export interface FlightOptions {
	readonly request: GenerateRequest;
	/** Aborts when the caller has gone. */
	readonly signal: AbortSignal;
	/** Asks the engine; aborting `signal` cancels there. */
	readonly ask: (signal: AbortSignal) => AsyncIterable<EngineOutput>;
	/** Called at each output of the engine. */
	readonly onOutput: (output: EngineOutput) => void;
	/** The error that the caller gets for one of the engine. */
	readonly explain: (error: unknown) => Promise<unknown> | unknown;
}

/**
 * One request at the engine. It is read as fast as it comes, because TensorRT-LLM aborts a request whose reader is slow for
 * 30 s; what is read ahead is bounded by the request's own length.
 *
 * A caller who leaves a decode request before its first token is let go at once, but the engine goes on up to that token:
 * only then has it collected the KV blocks, which would otherwise stay taken at the prefill engine (Dynamo issue 14507).
 */
export class Flight {
	readonly outputs: AsyncIterable<EngineOutput>;
	/** Resolves when the engine has nothing of it any more. */
	readonly landed: Promise<void>;
	readonly #options: FlightOptions;
	readonly #queue: AsyncQueue<EngineOutput>;
	readonly #abort = new AbortController();
	#hasTokens = false;
	#isLeft = false;

	constructor(options: FlightOptions) {
		this.#options = options;
		this.#queue = new AsyncQueue<EngineOutput>(() => this.#leave());
		this.outputs = this.#queue;
		const { signal } = options;
		const leave = () => this.#leave();
		if (signal.aborted) this.#leave();
		else signal.addEventListener("abort", leave, { once: true });
		this.landed = this.#read().finally(() => signal.removeEventListener("abort", leave));
	}

	/** Cancels at the engine now; what is open ends with `cancelled`. */
	cancel(): void {
		this.#abort.abort();
	}

	/** Ends with `error`, whatever the engine says. */
	fail(error: DynError): void {
		this.#queue.fail(error);
		this.#abort.abort();
	}

	#leave(): void {
		this.#isLeft = true;
		const { request } = this.#options;
		if (this.#hasTokens || request.disaggregation?.role !== "decode") {
			this.cancel();
			return;
		}
		for (let index = 0; index < (request.sampling.n ?? 1); index++)
			this.#queue.push(cancelled(request, index));
		this.#queue.end();
	}

	async #read(): Promise<void> {
		const { ask, onOutput, explain } = this.#options;
		try {
			for await (const output of ask(this.#abort.signal)) {
				if (output.finishReason === "cancelled" && !this.#abort.signal.aborted)
					throw new DynError("DISCONNECTED", "the engine gave the request up without being asked to");
				onOutput(output);
				if (output.tokenIds.length > 0) this.#hasTokens = true;
				this.#queue.push(output);
				if (this.#isLeft && this.#hasTokens) this.#abort.abort();
			}
			this.#queue.end();
		} catch (error) {
			this.#queue.fail(this.#queue.ended ? error : await explain(error));
		}
	}
}

function cancelled(request: GenerateRequest, index: number): EngineOutput {
	return {
		index,
		tokenIds: [],
		logprobs: request.output.logprobs === null ? null : [],
		finishReason: "cancelled",
		stopTokenId: null,
		usage: { promptTokens: request.tokenIds.length, completionTokens: 0, cachedTokens: 0 },
	};
}
