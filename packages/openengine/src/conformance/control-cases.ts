// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { DynError } from "@dyn/common";
import * as m from "../generated/messages.js";
import { GrpcStatus } from "../grpc/status.js";
import { SCHEMA_REVISION } from "../revision.js";
import {
	check,
	checkFails,
	collect,
	prompt,
	requestOf,
	type WireConformanceCase,
	type WireSubject,
} from "./subject.js";

/** Time within which what was cancelled must be gone, ms. */
const CANCEL_MS = 5000;
const LONG = { maxTokens: 512 };

/** Server, model, health, load, abort and KV events. */
export const controlCases: readonly WireConformanceCase[] = [
	{
		name: "server info: revisions and an immutable release",
		async run({ server }) {
			check(server.schemaRevision > 0, "schema_revision is 0");
			check(
				server.minimumClientRevision <= SCHEMA_REVISION,
				`minimum_client_revision is ${server.minimumClientRevision}`,
			);
			check(server.schemaRelease !== "", "schema_release is empty");
			check(server.engineName !== "", "engine_name is empty");
			return undefined;
		},
	},
	{
		name: "model info: names, context and input of the model",
		async run({ model, modelInfo }) {
			const names = [modelInfo.modelId, modelInfo.servedModelName, ...modelInfo.servedModelAliases];
			check(names.includes(model), `asked for ${model}, it describes ${names.join(", ")}`);
			check(modelInfo.supportsTokenIdsInput !== false, "token ids are no input");
			check(
				modelInfo.maxContextLength !== undefined,
				"max_context_length is not set: clients cannot fill max_tokens in",
			);
			return undefined;
		},
	},
	{
		name: "health: ready, with checks, with an inference probe",
		async run({ client, model }) {
			for (const includeInferenceProbe of [false, true]) {
				const { state, checks } = await client.health({ model, includeInferenceProbe });
				const bad = checks
					.filter((each) => each.state !== m.HealthState.READY)
					.map(({ name, message }) => `${name} ${message}`);
				check(state === m.HealthState.READY, `state ${state}: ${bad.join(", ")}`);
			}
			return undefined;
		},
	},
	{
		name: "load: says what runs, per rank when asked",
		async run({ client }) {
			const [total, perRank] = [await client.getLoad({}), await client.getLoad({ includePerRank: true })];
			check(total.ranks.length === 0, "ranks came unasked");
			if (total.runningRequests === undefined) return "running_requests is not reported";
			const ranks = new Set(perRank.ranks.map(({ dataParallelRank }) => dataParallelRank));
			check(ranks.size === perRank.ranks.length, "two entries for one rank");
			for (const { usedKvBlocks, totalKvBlocks } of [total, ...perRank.ranks])
				check(
					(usedKvBlocks ?? 0n) <= (totalKvBlocks ?? usedKvBlocks ?? 0n),
					"more KV blocks are used than there are",
				);
			return undefined;
		},
	},
	{
		name: "cancelling a stream ends its request",
		roles: ["aggregated"],
		async run(subject) {
			for await (const _ of subject.client.generate(requestOf(subject, { stopping: LONG }))) break;
			return becomesIdle(subject);
		},
	},
	{
		name: "abort: by id, once, and its stream ends with CANCELLED",
		roles: ["aggregated"],
		async run(subject) {
			const request = requestOf(subject, { stopping: LONG });
			const stream = subject.client.generate(request);
			await stream.next();
			const status = await abortStatus(subject, { requestId: request.requestId });
			let last: m.GenerateResponse | undefined;
			for await (const response of stream) last = response;
			if (status !== m.AbortStatus.ABORTED) return "the request had ended before the abort came";
			const isCancelled =
				last?.finished?.reason === m.FinishReason.CANCELLED || last?.error?.code === m.ErrorCode.CANCELLED;
			check(isCancelled, `the aborted stream ended with ${JSON.stringify(last?.finished ?? last?.error)}`);
			const again = await abortStatus(subject, { requestId: request.requestId });
			check(again !== m.AbortStatus.ABORTED, "aborted twice");
			return becomesIdle(subject);
		},
	},
	{
		name: "abort: all requests",
		roles: ["aggregated"],
		async run(subject) {
			const streams = [1, 2].map((seed) =>
				collect(subject, requestOf(subject, { tokenIds: { ids: prompt(seed) }, stopping: LONG })),
			);
			await subject.client.abort({ allRequests: {} });
			await Promise.all(streams);
			return becomesIdle(subject);
		},
	},
	{
		name: "abort: refuses no target, does not find an unknown one",
		async run({ client }) {
			await checkFails(client.abort({}), [GrpcStatus.INVALID_ARGUMENT]);
			await checkFails(client.abort({ requestId: randomUUID() }), [GrpcStatus.NOT_FOUND]);
			return undefined;
		},
	},
	{
		name: "adapters: lists them, or says that there are none to have",
		async run({ client, modelInfo }) {
			if (modelInfo.supportsLora) {
				await client.listLoras();
				await checkFails(client.unloadLora({ loraName: "no-such-adapter" }), [GrpcStatus.NOT_FOUND]);
				return undefined;
			}
			const statuses = [GrpcStatus.UNIMPLEMENTED, GrpcStatus.FAILED_PRECONDITION];
			await checkFails(
				client.loadLora({ adapter: { loraId: 1n, loraName: "a", sourcePath: "/a" } }),
				statuses,
			);
			return undefined;
		},
	},
	{
		name: "KV events: come for a new prompt",
		roles: ["aggregated", "prefill"],
		async run(subject) {
			const { client, server } = subject;
			const blockSize = server.capacity?.kvBlockSize ?? 32;
			const stop = AbortSignal.timeout(CANCEL_MS);
			const events = client.subscribeKvEvents({}, { signal: stop });
			// A subscription is there when its first event is: ask until then.
			const first = events.next();
			const outcome = first.then(
				({ value }) => value ?? "ended",
				(error) => DynError.from(error),
			);
			let seed = Date.now() % 1000;
			let answer: Awaited<typeof outcome> | undefined;
			do {
				const ids = prompt(++seed, blockSize * 2 + 1);
				await collect(subject, requestOf(subject, { tokenIds: { ids } }));
				answer = await Promise.race([outcome, Promise.resolve(undefined)]);
			} while (answer === undefined && !stop.aborted);
			answer ??= await outcome;
			await events.return?.();
			if (DynError.is(answer, "UNIMPLEMENTED")) return "SubscribeKvEvents is not implemented";
			if (answer instanceof Error) throw answer;
			check(answer !== "ended", "the subscription ended");
			check(answer.batch !== undefined, `the first response is ${JSON.stringify(answer.error)}`);
			check(answer.batch.events.length > 0, "a batch has no events");
			return undefined;
		},
	},
];

async function abortStatus(
	{ client }: WireSubject,
	target: { requestId: string | undefined },
): Promise<m.AbortStatus> {
	try {
		return (await client.abort(target)).status;
	} catch (error) {
		// Both say that there was nothing to abort.
		if (DynError.is(error, "NOT_FOUND")) return m.AbortStatus.ALREADY_FINISHED;
		throw error;
	}
}

/** A reason when the server does not say what runs. */
async function becomesIdle({ client }: WireSubject): Promise<string | undefined> {
	const began = performance.now();
	for (;;) {
		const { runningRequests } = await client.getLoad();
		if (runningRequests === undefined) return "running_requests is not reported";
		if (runningRequests === 0) return undefined;
		check(performance.now() - began < CANCEL_MS, `${runningRequests} still run after ${CANCEL_MS} ms`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}
