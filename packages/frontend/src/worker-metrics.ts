// SPDX-License-Identifier: Apache-2.0
import type { Gauge, MetricLabels, Metrics, RequestContext } from "@dyn/common";
import { type EngineOutput, type GenerateRequest, isEmbedRequest } from "@dyn/protocols";
import type { EndpointClient, EndpointPath, GenerateOptions, Instance, Runtime } from "@dyn/runtime";
import { Stages } from "./stage-metrics.js";

/** `dynamo_frontend_worker_last_*` series: what each instance was last seen to do (names and labels as in Dynamo). */
export class WorkerMetrics {
	readonly #stages: Stages;
	readonly #inputTokens: Gauge;
	readonly #firstToken: Gauge;
	readonly #interToken: Gauge;
	/** Workers with series, and whose clients know whether they are still there. */
	readonly #seen = new Map<bigint, { readonly client: EndpointClient; readonly labels: MetricLabels }>();

	constructor(metrics: Metrics) {
		this.#stages = new Stages(metrics);
		const last = (suffix: string, help: string) =>
			metrics.gauge({
				name: `dynamo_frontend_worker_last_${suffix}`,
				help: `${help} of the last request that gave one`,
				labels: ["worker_id", "dp_rank", "worker_type"],
			});
		this.#inputTokens = last("input_sequence_tokens", "Prompt tokens");
		this.#firstToken = last("time_to_first_token_seconds", "Time from call to first token");
		this.#interToken = last("inter_token_latency_seconds", "Time between the last two outputs, per token,");
		metrics.onCollect(() => this.#forgetTheGone());
	}

	/** A runtime whose clients' calls are seen here. */
	watched(runtime: Runtime): Pick<Runtime, "models" | "endpoint"> {
		return {
			models: runtime.models,
			endpoint: (path: EndpointPath | string) => {
				const endpoint = runtime.endpoint(path);
				return { ...endpoint, client: (options) => this.client(endpoint.client(options)) };
			},
		};
	}

	/** A client whose calls are seen here. Health checks are not, nor requests for embeddings, which have no tokens to time. */
	client(inner: EndpointClient): EndpointClient {
		// Without options it is no request that is routed: somebody waits for the first instance.
		const choose = (options?: GenerateOptions) =>
			options === undefined ? inner.choose() : this.#stages.within("route", () => inner.choose(options));
		const call = (instance: Instance, request: unknown, context: RequestContext): AsyncIterable<unknown> =>
			isEmbedRequest(request) || (request as GenerateRequest).healthCheck
				? inner.call(instance, request, context)
				: this.#watch(inner, instance, request as GenerateRequest, inner.call(instance, request, context));
		return {
			choose,
			call,
			async *generate(request, context, options) {
				yield* call(await choose(options), request, context);
			},
			instances: () => inner.instances(),
			inhibit: (id, until) => inner.inhibit(id, until),
			admit: (id) => inner.admit(id),
			close: () => inner.close(),
		};
	}

	#forgetTheGone(): void {
		for (const [id, { client, labels }] of this.#seen) {
			if (client.instances().some((instance) => instance.id === id)) continue;
			this.#seen.delete(id);
			for (const gauge of [this.#inputTokens, this.#firstToken, this.#interToken]) gauge.remove(labels);
		}
	}

	async *#watch(
		client: EndpointClient,
		{ id }: Instance,
		{ tokenIds, routing }: GenerateRequest,
		outputs: AsyncIterable<unknown>,
	): AsyncGenerator<unknown, void> {
		const labels = {
			worker_id: id.toString(),
			dp_rank: String(routing.dpRank ?? 0),
			worker_type: "decode", // as Dynamo calls those that also prefill
		};
		if (!this.#seen.has(id)) this.#forgetTheGone();
		this.#seen.set(id, { client, labels });
		const began = performance.now();
		const answered = this.#stages.enter("dispatch", "transport_roundtrip");
		let last: number | null = null;
		let gapMs: number | null = null;
		try {
			for await (const output of outputs) {
				answered();
				const tokens = (output as EngineOutput).tokenIds.length;
				if (tokens > 0) {
					const now = performance.now();
					if (last === null) {
						this.#inputTokens.set(tokenIds.length, labels);
						this.#firstToken.set((now - began) / 1000, labels);
					} else gapMs = (now - last) / tokens;
					last = now;
				}
				yield output;
			}
		} finally {
			answered();
			if (gapMs !== null) this.#interToken.set(gapMs / 1000, labels);
		}
	}
}
