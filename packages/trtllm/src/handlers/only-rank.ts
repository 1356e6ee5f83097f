// SPDX-License-Identifier: Apache-2.0
import type { HandlerMiddleware } from "./handler.js";

/**
 * For an engine with one rank: a request for rank 0 asks for nothing. Stock Dynamo's KV router names the rank in every request,
 * and engines whose protocol cannot choose one (TensorRT-LLM's OpenEngine server) refuse to be told.
 */
export const onlyRank: HandlerMiddleware = (next) => ({
	name: next.name,
	generate: (request, context) =>
		next.generate(
			request.routing.dpRank === 0 ? { ...request, routing: { ...request.routing, dpRank: null } } : request,
			context,
		),
});
