// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import type { GenerateResponse } from "../generated/messages.js";
import { ResponseReader } from "./response-reader.js";

/** A Generate call for one request. */
export interface GenerationCall {
	/** Aborting it ends `send`'s iterator with an error. */
	readonly signal: AbortSignal;
	/** Sends the request. */
	send(): AsyncIterableIterator<GenerateResponse>;
	/**
	 * Nothing runs here any more. Called once.
	 * @param isAbandoned the request was sent, and the engine has not said that it has ended
	 */
	onEnd(isAbandoned: boolean): void;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/** The outputs of one request. By hand, as a generator costs every one of them three turns of the microtask queue. */
export class Generation implements AsyncIterableIterator<EngineOutput> {
	readonly #reader: ResponseReader;
	readonly #begin: () => GenerationCall;
	#call: GenerationCall | null = null;
	#responses: AsyncIterableIterator<GenerateResponse> | null = null;
	/** Outputs that are left when all else is over. */
	#last: EngineOutput[] = [];
	#isOver = false;
	readonly #take = (
		result: IteratorResult<GenerateResponse>,
	): IteratorResult<EngineOutput> | Promise<IteratorResult<EngineOutput>> => {
		if (result.done) return this.#ended();
		// A response brings one output or none.
		let value: EngineOutput | undefined;
		try {
			[value] = this.#reader.read(result.value);
		} catch (error) {
			return this.#fail(error);
		}
		return value ? { value, done: false } : this.next();
	};
	readonly #fail = (error: unknown): IteratorResult<EngineOutput> => {
		void this.#responses?.return?.();
		const isCancelled = this.#call?.signal.aborted ?? false;
		if (isCancelled) this.#last = [...this.#reader.cancelled()];
		this.#end();
		if (!isCancelled) throw error;
		return this.#lastOutput();
	};

	/** @param begin called with the first `next`, whose error is what it throws */
	constructor(request: GenerateRequest, begin: () => GenerationCall) {
		this.#reader = new ResponseReader(request);
		this.#begin = begin;
	}

	next(): Promise<IteratorResult<EngineOutput>> {
		if (this.#responses && !this.#isOver) return this.#responses.next().then(this.#take, this.#fail);
		return this.#first();
	}

	async return(): Promise<IteratorResult<EngineOutput>> {
		await this.#responses?.return?.();
		this.#last = [];
		this.#end();
		return DONE;
	}

	[Symbol.asyncIterator](): this {
		return this;
	}

	async #first(): Promise<IteratorResult<EngineOutput>> {
		if (this.#isOver) return this.#lastOutput();
		try {
			this.#call = this.#begin();
			this.#call.signal.throwIfAborted();
			this.#responses = this.#call.send();
		} catch (error) {
			return this.#fail(error);
		}
		return this.next();
	}

	#ended(): IteratorResult<EngineOutput> {
		this.#end();
		if (this.#reader.isOver) return DONE;
		throw new DynError(
			"DISCONNECTED",
			"the engine ended its stream before all outputs had ended; look at its log",
		);
	}

	#lastOutput(): IteratorResult<EngineOutput> {
		const value = this.#last.shift();
		return value ? { value, done: false } : DONE;
	}

	#end(): void {
		if (this.#isOver) return;
		this.#isOver = true;
		this.#call?.onEnd(this.#responses !== null && !this.#reader.isOver);
	}
}
