// SPDX-License-Identifier: Apache-2.0
import type { RequestContext, Span, Tracer } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import type { Handler, HandlerMiddleware } from "./handler.js";
import { TokenTimes } from "./token-times.js";

/** A span `engine.generate` around each request (name and attributes as in Dynamo's backends); health checks have none. */
export function traceGeneration(tracer: Tracer): HandlerMiddleware {
	return (next) => ({
		name: next.name,
		generate(request, context) {
			if (request.healthCheck) return next.generate(request, context);
			const span = tracer.start("engine.generate", {
				parent: context.trace,
				attributes: { model: request.model, input_tokens: request.tokenIds.length },
			});
			const within = { ...context, trace: span.trace };
			if (span.recording) return recorded(next, request, within, span);
			// Nothing to measure for nobody: no iterator of ours between engine and caller.
			span.end();
			return next.generate(request, within);
		},
	});
}

async function* recorded(
	next: Handler,
	request: GenerateRequest,
	context: RequestContext,
	span: Span,
): AsyncGenerator<EngineOutput, void> {
	const times = new TokenTimes(performance.now());
	const reasons = new Set<string>();
	let ended = false;
	try {
		for await (const output of next.generate(request, context)) {
			times.add(output.index, output.tokenIds.length, performance.now());
			if (output.finishReason) reasons.add(output.finishReason);
			yield output;
		}
		ended = true;
	} catch (error) {
		ended = true;
		if (!context.signal.aborted) span.fail(error);
		throw error;
	} finally {
		span.set({
			...times.attributes,
			finish_reason: [...reasons].join(",") || null,
			cancelled: context.signal.aborted || !ended,
		});
		span.end();
	}
}
