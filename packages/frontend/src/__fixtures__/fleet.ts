// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, type Metrics, type RequestContext, silentLogger } from "@dyn/common";
import { createGenerateRequest, type EngineOutput, type GenerateRequest, type GenerateRequestInit, type ModelCard } from "@dyn/protocols";
import { createRuntime, type EndpointClient, type Runtime, type ServedEndpoint } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { FrontendMetrics } from "../frontend-metrics.js";
import { unseen } from "../migration/attempt-spans.js";
import { type MigratableCall, migrate } from "../migration/migrate.js";
import type { Served } from "../migration/candidates.js";
import { Pulses } from "../migration/pulses.js";
import { Readmission } from "../migration/readmission.js";
import type { MigrationOptions } from "../options.js";
import { foldEngine } from "./fold-engine.js";
import type { Answer } from "./served-model.js";

export const CONTEXT_LENGTH = 200;

/** Answers whole. */
export const whole: Answer = async function* (request) {
	yield* foldEngine(request);
};

/** Fails with `error` after `outputs` outputs. */
export const failing = (error: unknown, outputs = 0): Answer =>
	async function* (request) {
		let left = outputs;
		for (const output of foldEngine(request)) {
			if (left-- === 0) break;
			yield output;
		}
		throw error;
	};

/** Freezes after `outputs` outputs, deaf to aborts; what it still says when it thaws comes late. */
export const frozen = (thawed: Promise<void>, outputs = 0): Answer =>
	async function* (request) {
		let left = outputs;
		for (const output of foldEngine(request)) {
			if (left-- === 0) await thawed;
			yield output;
		}
	};

/** Several instances of one endpoint, and what asks them. Their k-th call is answered by the k-th script, later ones whole. */
export class Fleet {
	readonly calls: { readonly id: bigint; readonly request: GenerateRequest; readonly context: RequestContext }[] =
		[];
	readonly metrics: Metrics = createPrometheusMetrics();
	readonly readmission: Readmission;
	readonly client: EndpointClient;
	readonly served: ServedEndpoint[] = [];
	readonly #runtime: Runtime;
	readonly #scripts: readonly Answer[];
	readonly #frontendMetrics: FrontendMetrics;
	readonly instances: Set<bigint> = new Set();
	readonly pulses: Pulses = new Pulses();
	/** What its card says of guided answers. */
	resumesGuided = false;
	/** Other endpoints with an equal card. */
	others: readonly Served[] = [];

	private constructor(runtime: Runtime, scripts: readonly Answer[]) {
		this.#runtime = runtime;
		this.#scripts = scripts;
		this.#frontendMetrics = new FrontendMetrics(this.metrics, 3);
		this.readmission = new Readmission(silentLogger);
		this.client = runtime.endpoint("a.b.c").client();
	}

	static async create(size: number, ...scripts: Answer[]): Promise<Fleet> {
		const fleet = new Fleet(await createRuntime(), scripts);
		for (let i = 0; i < size; i++) await fleet.add();
		return fleet;
	}

	async add(): Promise<ServedEndpoint> {
		const served = await this.#runtime.endpoint("a.b.c").serve((request, context) => {
			this.calls.push({ id: served.instance.id, request: request as GenerateRequest, context });
			return (this.#scripts[this.calls.length - 1] ?? whole)(request as GenerateRequest, context);
		});
		this.instances.add(served.instance.id);
		this.served.push(served);
		return served;
	}

	get model(): MigratableCall["model"] {
		const card = { name: "m", contextLength: CONTEXT_LENGTH, eosTokenIds: [256], resumesGuided: this.resumesGuided } as unknown as ModelCard;
		return { card, client: this.client, instances: this.instances, pulses: this.pulses, prefills: () => [], others: () => this.others };
	}

	migrate(
		request: Partial<GenerateRequestInit> = {},
		{
			options = {},
			...call
		}: Partial<Omit<MigratableCall, "request" | "options">> & { options?: Partial<MigrationOptions> } = {},
	): AsyncGenerator<EngineOutput, void> {
		return migrate({
			model: this.model,
			request: createGenerateRequest({ tokenIds: [1, 2, 3], stop: { maxTokens: 20, minTokens: 20 }, ...request }),
			context: createRequestContext(),
			instanceId: null,
			...unseen,
			metrics: this.#frontendMetrics,
			readmission: this.readmission,
			options: { limit: 3, firstTokenMs: 60_000, stallMs: 10_000, ...options },
			...call,
		});
	}

	/** Values of the migration series, by the part of their name that tells them apart and their labels. */
	async counted(): Promise<Record<string, number>> {
		const text = await this.metrics.expose();
		const lines = text.matchAll(/^dynamo_frontend_model_migration_(?!duration_seconds_(?:bucket|sum))(\S+) (\S+)$/gm);
		return Object.fromEntries([...lines].map(([, series, value]) => [series!, Number(value)]));
	}

	async close(): Promise<void> {
		this.readmission.close();
		await this.#runtime.close();
	}
}

/** What an answer amounts to, however it was cut into outputs. */
export interface Folded {
	readonly tokenIds: readonly number[];
	readonly logprobs: readonly number[];
	readonly finishReason: EngineOutput["finishReason"];
	readonly usage: EngineOutput["usage"];
}

export async function fold(outputs: AsyncIterable<EngineOutput> | Iterable<EngineOutput>): Promise<Folded> {
	const tokenIds: number[] = [];
	const logprobs: number[] = [];
	let last: EngineOutput | null = null;
	for await (const output of outputs) {
		if (last?.finishReason) throw new Error("an output came behind the finish reason");
		last = output;
		tokenIds.push(...output.tokenIds);
		logprobs.push(...(output.logprobs ?? []).map(({ logprob }) => logprob));
	}
	return { tokenIds, logprobs, finishReason: last?.finishReason ?? null, usage: last?.usage ?? null };
}
