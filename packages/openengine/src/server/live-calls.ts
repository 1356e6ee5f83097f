// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { DynError } from "@dyn/common";
import type { Metadata, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { toGrpcStatus } from "../grpc/status.js";
import type { ServerCall } from "./service.js";

type Unary = (request: unknown, call: ServerCall) => Promise<unknown>;
type Streaming = (request: unknown, call: ServerCall) => AsyncIterable<unknown>;

interface LiveCall {
	readonly abort: AbortController;
	/** It has no end of its own. */
	readonly isSubscription: boolean;
}

/** Runs handlers as grpc-js calls them and knows which calls are running. */
export class LiveCalls {
	readonly #live = new Set<LiveCall>();
	readonly #idle: (() => void)[] = [];

	unary(handler: Unary): (call: ServerUnaryCall<unknown, unknown>, respond: sendUnaryData<unknown>) => void {
		return (call, respond) => {
			const live = this.#begin(call, false);
			Promise.resolve()
				.then(() => handler(call.request, serverCall(call.metadata, live.abort.signal)))
				.then(
					(response) => respond(null, response),
					(error) => respond(statusOf(error)),
				)
				.finally(() => this.#end(live));
		};
	}

	streaming(
		handler: Streaming,
		isSubscription: boolean,
	): (call: ServerWritableStream<unknown, unknown>) => void {
		return (call) => {
			const live = this.#begin(call, isSubscription);
			send(
				call,
				() => handler(call.request, serverCall(call.metadata, live.abort.signal)),
				live.abort.signal,
			).finally(() => this.#end(live));
		};
	}

	/** Subscriptions have no end of their own: this is it. */
	endSubscriptions(): void {
		for (const { abort, isSubscription } of this.#live) if (isSubscription) abort.abort();
	}

	cancel(): void {
		for (const { abort } of this.#live) abort.abort();
	}

	/** Resolves when no handler runs. */
	async idle(): Promise<void> {
		if (this.#live.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
	}

	#begin(call: { on(event: "cancelled", listener: () => void): unknown }, isSubscription: boolean): LiveCall {
		const live: LiveCall = { abort: new AbortController(), isSubscription };
		this.#live.add(live);
		call.on("cancelled", () => live.abort.abort());
		return live;
	}

	#end(live: LiveCall): void {
		this.#live.delete(live);
		if (this.#live.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
	}
}

/** Sends what a handler yields, no faster than the caller reads. Leaves the handler's loop when the caller is gone. */
async function send(
	call: ServerWritableStream<unknown, unknown>,
	handle: () => AsyncIterable<unknown>,
	signal: AbortSignal,
): Promise<void> {
	try {
		for await (const message of handle()) {
			if (signal.aborted) break;
			if (!call.write(message)) await drained(call, signal);
		}
		call.end();
	} catch (error) {
		// grpc-js ends the call with the status of this error.
		call.emit("error", statusOf(error));
	}
}

async function drained(call: ServerWritableStream<unknown, unknown>, signal: AbortSignal): Promise<void> {
	try {
		await once(call, "drain", { signal });
	} catch (error) {
		if (!signal.aborted) throw error;
	}
}

function serverCall(metadata: Metadata, signal: AbortSignal): ServerCall {
	return { signal, metadata: (key) => metadata.get(key).map(String) };
}

function statusOf(thrown: unknown): { code: number; details: string; name: string; message: string } {
	const error = DynError.from(thrown);
	return { name: "Error", message: error.rawMessage, code: toGrpcStatus(error), details: error.rawMessage };
}
