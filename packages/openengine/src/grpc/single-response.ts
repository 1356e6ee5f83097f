// SPDX-License-Identifier: Apache-2.0
import { cancellationError } from "@dyn/common";
import { type CallOptions, type CallSink, GrpcCall } from "./call.js";
import { CallFailure } from "./call-failure.js";
import type { Channel } from "./channel.js";
import { fromGrpcStatus, GrpcStatus } from "./status.js";

/** The one message of an answer. @throws DynError by `fromGrpcStatus`, or the reason of `signal` */
export function singleResponse<T>(
	channel: Channel,
	options: CallOptions,
	deserialize: (bytes: Buffer) => T,
	what: string,
	signal?: AbortSignal,
): Promise<T> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) return reject(cancellationError(signal));
		let response: { readonly value: T } | null = null;
		const sink: CallSink = {
			isFull: false,
			onMessage(bytes) {
				if (response) throw new CallFailure(GrpcStatus.INTERNAL, "it was answered twice");
				response = { value: deserialize(bytes) };
			},
			onEnd(status, message) {
				signal?.removeEventListener("abort", onAbort);
				if (status !== GrpcStatus.OK) reject(fromGrpcStatus(status, message, what));
				else if (response) resolve(response.value);
				else reject(fromGrpcStatus(GrpcStatus.INTERNAL, "the answer has no message", what));
			},
		};
		const call = new GrpcCall(channel, options, sink);
		const onAbort = () => {
			call.cancel();
			reject(cancellationError(signal!));
		};
		signal?.addEventListener("abort", onAbort, { once: true });
	});
}
