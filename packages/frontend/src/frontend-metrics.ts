// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import { type RequestLabels, RequestMeter } from "./request-meter.js";
import { Stages } from "./stage-metrics.js";

/** Dynamo's buckets: `count` log-spaced bounds from min to max, two significant figures, 0 in the place of the first. */
function buckets(min: number, max: number, count: number): number[] {
	const values = Array.from({ length: count }, (_, i) =>
		i === 0 ? 0 : Number((min * (max / min) ** (i / (count - 1))).toPrecision(2)),
	);
	return [...new Set(values)];
}

/** Whether a request had tokens when its instance failed. */
export type MigrationType = "new_request" | "ongoing_request";

/** One move's clock. */
export interface MigrationMeter {
	/** `success`: the other instance answered. */
	end(outcome: "success" | "failure" | "cancelled"): void;
}

export interface MigrationMetrics {
	/** A request leaves an instance that failed. */
	migrating(model: string, type: MigrationType): MigrationMeter;
	/** A request fills the context and cannot be continued. */
	contextExceeded(model: string): void;
}

/** `dynamo_frontend_*` series: names, labels and buckets as in Dynamo. */
export class FrontendMetrics implements MigrationMetrics {
	readonly #metrics;
	readonly #started;
	readonly #requests;
	readonly #inflight;
	readonly #active;
	readonly #queued;
	readonly #disconnected;
	readonly #cancelled;
	readonly #outputTokens;
	readonly #duration;
	readonly #inputLength;
	readonly #outputLength;
	readonly #cachedTokens;
	readonly #firstToken;
	readonly #interToken;
	readonly #tokenizer;
	readonly #detokenizeMicros;
	readonly #detokenizedTokens;
	readonly stages: Stages;
	readonly #migrations;
	readonly #contextExceeded;
	readonly #migrationDuration;
	readonly #migrationLimit: number;

	constructor(metrics: Metrics, migrationLimit: number) {
		const name = (suffix: string) => `dynamo_frontend_${suffix}`;
		const request = ["model", "endpoint", "request_type"];
		const histogram = (suffix: string, help: string, bounds: number[], labels = ["model"]) =>
			metrics.histogram({ name: name(suffix), help, labels, buckets: bounds });
		this.#metrics = metrics;
		this.#started = metrics.counter({
			name: name("requests_started_total"),
			help: "Requests that began",
			labels: request,
		});
		this.#requests = metrics.counter({
			name: name("requests_total"),
			help: "Requests that ended",
			labels: [...request, "status", "error_type"],
		});
		this.#inflight = metrics.gauge({
			name: name("inflight_requests"),
			help: "Requests being served",
			labels: ["model"],
		});
		this.#active = metrics.gauge({
			name: name("active_requests"),
			help: "Requests from the moment that their model is known to the end of their answer",
			labels: ["model"],
		});
		this.#queued = metrics.gauge({
			name: name("queued_requests"),
			help: "Requests that wait for their first token",
			labels: ["model"],
		});
		this.#disconnected = metrics.gauge({
			name: name("disconnected_clients"),
			help: "Clients that went away before their answer ended",
		});
		this.#cancelled = metrics.counter({
			name: name("model_cancellation_total"),
			help: "Requests cancelled by their client",
			labels: request,
		});
		this.#outputTokens = metrics.counter({
			name: name("output_tokens_total"),
			help: "Tokens generated",
			labels: ["model"],
		});
		this.#duration = histogram(
			"request_duration_seconds",
			"Time from request to end of answer",
			buckets(1, 512, 10),
		);
		this.#inputLength = histogram(
			"input_sequence_tokens",
			"Prompt tokens per request",
			buckets(50, 128_000, 12),
		);
		this.#outputLength = histogram(
			"output_sequence_tokens",
			"Generated tokens per request",
			buckets(50, 32_000, 10),
		);
		this.#cachedTokens = histogram(
			"cached_tokens",
			"Prompt tokens found in the KV cache, per request",
			buckets(50, 128_000, 12),
		);
		this.#firstToken = histogram(
			"time_to_first_token_seconds",
			"Time from request to first token",
			buckets(0.001, 480, 18),
		);
		this.#interToken = histogram(
			"inter_token_latency_seconds",
			"Time between tokens of a choice",
			buckets(0.001, 80, 20),
		);
		this.#tokenizer = histogram(
			"tokenizer_latency_ms",
			"Time per request to template and tokenize, or to make text of tokens",
			[0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
			["operation"],
		);
		this.#detokenizeMicros = metrics.counter({
			name: name("detokenize_total_us"),
			help: "Time spent on making text of tokens, microseconds",
		});
		this.#detokenizedTokens = metrics.counter({
			name: name("detokenize_token_count"),
			help: "Tokens of which text was made",
		});
		this.stages = new Stages(metrics);
		this.#migrationLimit = migrationLimit;
		this.#migrations = metrics.counter({
			name: name("model_migration_total"),
			help: "Times that a request left an instance that failed",
			labels: ["model", "migration_type"],
		});
		this.#contextExceeded = metrics.counter({
			name: name("model_migration_max_seq_len_exceeded_total"),
			help: "Requests of a failed instance that were too long to be continued",
			labels: ["model"],
		});
		this.#migrationDuration = histogram(
			"model_migration_duration_seconds",
			"Time from an instance's failure to the other one's first output",
			buckets(0.001, 480, 18),
			["model", "migration_type", "outcome"],
		);
	}

	migrating(model: string, type: MigrationType): MigrationMeter {
		const labels = { model, migration_type: type };
		const began = performance.now();
		this.#migrations.inc(labels);
		return {
			end: (outcome) =>
				this.#migrationDuration.observe((performance.now() - began) / 1000, { ...labels, outcome }),
		};
	}

	contextExceeded(model: string): void {
		this.#contextExceeded.inc({ model });
	}

	begin(labels: RequestLabels): RequestMeter {
		this.#started.inc({ ...labels });
		const model = { model: labels.model };
		this.#inflight.inc(model);
		this.#active.inc(model);
		this.#queued.inc(model);
		return new RequestMeter(labels, {
			answered: () => this.#queued.dec(model),
			firstToken: (seconds) => this.#firstToken.observe(seconds, model),
			interToken: (seconds) => this.#interToken.observe(seconds, model),
			end: (seconds, usage, errorType) => {
				this.#inflight.dec(model);
				this.#active.dec(model);
				this.#requests.inc({
					...labels,
					status: errorType === "" ? "success" : "error",
					error_type: errorType,
				});
				this.#duration.observe(seconds, model);
				if (errorType === "cancelled") {
					this.#cancelled.inc({ ...labels });
					this.#disconnected.inc();
				}
				if (usage.promptTokens === 0) return;
				this.#inputLength.observe(usage.promptTokens, model);
				this.#outputLength.observe(usage.completionTokens, model);
				this.#cachedTokens.observe(usage.cachedTokens, model);
				this.#outputTokens.inc(model, usage.completionTokens);
			},
		});
	}

	/** A prompt was templated and tokenized. */
	tokenized(ms: number): void {
		this.#tokenizer.observe(ms, { operation: "tokenize" });
	}

	/** An answer of so many tokens has ended. @param ms that it took in all to make text of them */
	detokenized(ms: number, tokens: number): void {
		this.#tokenizer.observe(ms, { operation: "detokenize" });
		this.#detokenizeMicros.inc({}, Math.round(ms * 1000));
		this.#detokenizedTokens.inc({}, tokens);
	}

	/** Shows which models can be served, whenever somebody looks. */
	showReady(names: () => readonly string[]): void {
		const ready = this.#metrics.gauge({
			name: "dynamo_frontend_model_ready",
			help: "1 when the model can be served, 0 when it no longer can",
			labels: ["model"],
		});
		const known = new Set<string>();
		this.#metrics.onCollect(() => {
			const now = new Set(names());
			for (const model of now) known.add(model);
			for (const model of known) ready.set(now.has(model) ? 1 : 0, { model });
		});
	}

	modelAdded(card: ModelCard): void {
		const values = {
			total_kv_blocks: card.totalKvBlocks,
			max_num_seqs: card.maxNumSeqs,
			max_num_batched_tokens: card.maxNumBatchedTokens,
			context_length: card.contextLength,
			kv_cache_block_size: card.kvBlockSize,
			migration_limit: this.#migrationLimit,
		};
		for (const [suffix, value] of Object.entries(values)) {
			this.#metrics
				.gauge({
					name: `dynamo_frontend_model_${suffix}`,
					help: `${suffix} of the model's card`,
					labels: ["model"],
				})
				.set(value, { model: card.name });
		}
	}
}
