// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import { invalidArgument } from "@dyn/common";

const MAX_BODY_BYTES = 65_536;

/** A request to a worker's own port, for what is no file, no health and no metrics. */
export interface ControlRequest {
	readonly method: string;
	/** As it was sent, without the query. */
	readonly path: string;
	readonly authorization: string | undefined;
	/** @throws DynError INVALID_ARGUMENT when the body is no JSON, not said to be JSON, or larger than 64 KiB */
	json(): Promise<unknown>;
}

export interface ControlAnswer {
	readonly status: number;
	/** Sent as JSON. */
	readonly body: unknown;
}

/** Answers what a worker lets its operator do; null: it does not know the path. */
export type Control = (request: ControlRequest) => Promise<ControlAnswer> | null;

export function controlRequest(request: IncomingMessage, path: string): ControlRequest {
	return {
		method: request.method ?? "",
		path,
		authorization: request.headers.authorization,
		async json() {
			// Web pages cannot send this type to another origin without asking it first, and nobody answers that here.
			if (!/^application\/json\s*(;|$)/i.test(request.headers["content-type"] ?? ""))
				throw invalidArgument("body", "send a JSON body with content-type: application/json");
			const parts: Buffer[] = [];
			let bytes = 0;
			// Left open when the body is too large: it still has to be answered.
			for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
				bytes += part.length;
				if (bytes > MAX_BODY_BYTES)
					throw invalidArgument("body", `the body is larger than ${MAX_BODY_BYTES} bytes`);
				parts.push(part);
			}
			try {
				return JSON.parse(Buffer.concat(parts).toString()) as unknown;
			} catch (cause) {
				throw invalidArgument("body", `the body is no JSON: ${(cause as Error).message}`);
			}
		},
	};
}
