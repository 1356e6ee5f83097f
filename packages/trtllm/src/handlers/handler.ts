// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";

/** Serves generate requests: what stands behind an endpoint. Your own can replace or wrap the built-in one. */
export interface Handler {
	/** For logs. */
	readonly name: string;
	generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput>;
}

/** Wraps a handler: `(next) => handler`. The first of a list is the outermost. */
export type HandlerMiddleware = (next: Handler) => Handler;

/** Checks nothing, changes nothing: gives the object its type, so that `request` and `context` have theirs. */
export function defineHandler(handler: Handler): Handler {
	return handler;
}

export function applyMiddleware(handler: Handler, middleware: readonly HandlerMiddleware[]): Handler {
	return middleware.reduceRight((next, wrap) => wrap(next), handler);
}
