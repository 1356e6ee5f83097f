// SPDX-License-Identifier: Apache-2.0
import { randomBytes, randomInt } from "node:crypto";
import { DynError, invalidArgument, type Logger, type Metrics } from "@dyn/common";
import type { BlockPool } from "@dyn/kvbm";
import { type KvTransferAgent, releaseKvSession } from "@dyn/kvbm/transfer";
import type { Disaggregation, EngineOutput, GenerateRequest, KvSession } from "@dyn/protocols";
import type { BlockHasher } from "@dyn/tokens";
import type { ForwardBackend } from "../backend/forward-backend.js";
import type { AcceptRequest, Handoff } from "./handoff.js";
import { mappedOutputs } from "./mapped-outputs.js";
import { decodeAttributes, encodeAttributes, type SessionAttributes } from "./session-attributes.js";
import { TransferMetrics } from "./transfer-metrics.js";

export interface KvHandoffParts {
	readonly agent: KvTransferAgent;
	readonly pool: BlockPool;
	readonly backend: ForwardBackend;
	readonly blockSize: number;
	readonly dpRank: number;
	/** After which blocks that no decode engine fetched are let go, ms. */
	readonly deadlineMs: number;
	readonly metrics: Metrics;
	readonly logger: Logger;
}

interface BlockHashes {
	readonly tokens: bigint;
	readonly sequence: bigint;
}

/**
 * Prefill and decode apart. The full blocks of a prompt stay in the prefill engine's cache, held until a decode engine
 * has fetched them into its own; there the request runs like any other and finds them as a cached prefix. What is missing
 * (the last, partial block; all of it, when the transfer fails) is computed again, to the same values.
 */
export class KvHandoff implements Handoff {
	readonly #parts: KvHandoffParts;
	readonly #metrics: TransferMetrics;
	readonly #sessions = new Set<string>();

	constructor(parts: KvHandoffParts) {
		this.#parts = parts;
		this.#metrics = new TransferMetrics(parts.metrics);
	}

	async begin(
		request: GenerateRequest,
		disaggregation: Disaggregation,
		hasher: BlockHasher,
		{ accept, signal }: { readonly accept: AcceptRequest; readonly signal: AbortSignal },
	): Promise<AsyncIterator<EngineOutput, undefined>> {
		if (disaggregation.role === "prefill") {
			const prefill = seeded({ ...request, stop: { ...request.stop, maxTokens: 1 } });
			return mappedOutputs(await accept(prefill), (output) =>
				output.finishReason === "length" ? this.#offer(prefill, hasher, output) : output,
			);
		}
		const { session } = disaggregation;
		const attributes = decodeAttributes(session);
		const held = await this.#pull(session, this.#checked(request, session, attributes, hasher), signal);
		try {
			const sampling = { ...request.sampling, seed: request.sampling.seed ?? attributes.seed };
			const { cachedTokens } = attributes;
			return mappedOutputs(await accept({ ...request, sampling, disaggregation: null }), (output) =>
				output.usage ? { ...output, usage: { ...output.usage, cachedTokens } } : output,
			);
		} finally {
			this.#parts.pool.release(held);
		}
	}

	/** The last output of a prefill with the session under which its blocks wait. */
	#offer(request: GenerateRequest, hasher: BlockHasher, output: EngineOutput): EngineOutput {
		const { agent, pool, backend, dpRank, deadlineMs } = this.#parts;
		const hashes = this.#hashes(request, hasher);
		const blocks = pool.matchPrefix(hashes.map(({ sequence }) => sequence));
		const sessionId = randomBytes(16).toString("hex");
		if (blocks.length > 0) {
			pool.hold(blocks);
			this.#sessions.add(sessionId);
			agent.offer(
				sessionId,
				{
					numBlocks: blocks.length,
					blockBytes: backend.info.kvBlockBytes,
					read: (index) => backend.readBlock(blocks[index]!),
					onEnd: () => {
						this.#sessions.delete(sessionId);
						pool.release(blocks);
					},
				},
				{ deadlineMs },
			);
		}
		const attributes = encodeAttributes({
			kvLayout: this.#layout,
			promptTokens: request.tokenIds.length,
			numBlocks: blocks.length,
			lastHash: hashes[blocks.length - 1]?.sequence ?? null,
			cachedTokens: output.usage?.cachedTokens ?? 0,
			seed: request.sampling.seed,
			firstTokens: output.tokenIds,
		});
		const kvSession: KvSession = {
			sessionId,
			transferBackend: agent.backend,
			endpoints: agent.endpoints,
			dpRank,
			attributes,
		};
		return { ...output, kvSession };
	}

	/** Hashes of the blocks that a session offers for `request`. */
	#checked(
		request: GenerateRequest,
		session: KvSession,
		attributes: SessionAttributes,
		hasher: BlockHasher,
	): BlockHashes[] {
		const { agent } = this.#parts;
		const hashes = this.#hashes(request, hasher).slice(0, attributes.numBlocks);
		const refuse = (what: string) =>
			invalidArgument("disaggregated_params", `session ${session.sessionId} ${what}`);
		if (session.transferBackend !== agent.backend)
			throw refuse(`moves its blocks by ${session.transferBackend}, this engine by ${agent.backend}`);
		if (attributes.kvLayout !== this.#layout)
			throw refuse(`has blocks laid out as ${attributes.kvLayout}, not ${this.#layout} as here`);
		if (
			attributes.promptTokens !== request.tokenIds.length ||
			attributes.numBlocks !== hashes.length ||
			attributes.lastHash !== (hashes.at(-1)?.sequence ?? null)
		)
			throw refuse("is the prefill of another prompt");
		return hashes;
	}

	close(): void {
		for (const sessionId of [...this.#sessions]) this.#parts.agent.withdraw(sessionId);
	}

	get #layout(): string {
		const { backend, blockSize } = this.#parts;
		return `${backend.info.kvLayout}/${blockSize}x${backend.info.kvBlockBytes}`;
	}

	/** Of the full blocks that a request can reuse: its last token is computed in any case. */
	#hashes({ tokenIds }: GenerateRequest, hasher: BlockHasher): BlockHashes[] {
		const { blockSize } = this.#parts;
		const tokens = Uint32Array.from(tokenIds);
		const hashes: BlockHashes[] = [];
		for (let end = blockSize; end < tokens.length; end += blockSize) {
			const own = hasher.blockHash(tokens.subarray(end - blockSize, end));
			hashes.push({ tokens: own, sequence: hasher.sequenceHash(hashes.at(-1)?.sequence ?? null, own) });
		}
		return hashes;
	}

	/** The blocks that could be had, held. Those that are here already are not fetched. */
	async #pull(session: KvSession, hashes: readonly BlockHashes[], signal: AbortSignal): Promise<number[]> {
		const { agent, pool, backend, logger } = this.#parts;
		const blockBytes = backend.info.kvBlockBytes;
		const held = pool.matchPrefix(hashes.map(({ sequence }) => sequence));
		pool.hold(held);
		if (hashes.length === 0) return held;
		const began = performance.now();
		let bytes = 0;
		try {
			for await (const data of agent.pull(session, { firstBlock: held.length, blockBytes, signal })) {
				bytes += data.length;
				const index = held.length;
				const block = index < hashes.length ? pool.allocate(1)?.[0] : undefined;
				if (block === undefined) continue; // no room: taken to its end all the same, so that the holder lets go
				held.push(block);
				backend.writeBlock(block, data);
				const { tokens: tokensHash, sequence: blockHash } = hashes[index]!;
				const parent = hashes[index - 1]?.sequence ?? null;
				held.splice(index, 1, ...pool.commit([block], [{ blockHash, tokensHash }], parent));
			}
			this.#metrics.completed(bytes, performance.now() - began);
		} catch (error) {
			if (signal.aborted) {
				void releaseKvSession(session); // a frontend that tries again has its prompt computed again
				return held; // whoever runs the request says that it was cancelled
			}
			if (!(DynError.is(error, "DISCONNECTED") || DynError.is(error, "NOT_FOUND"))) {
				pool.release(held);
				throw error;
			}
			this.#metrics.failed();
			logger.warn("KV blocks could not be fetched: the rest of the prompt is computed here", {
				session: session.sessionId,
				fetched: held.length,
				of: hashes.length,
				error,
			});
		}
		return held;
	}
}

/** A request that names its seed, so that the decode engine can draw the same tokens. */
function seeded(request: GenerateRequest): GenerateRequest {
	const { sampling } = request;
	if (sampling.seed !== null || sampling.temperature === 0) return request;
	return { ...request, sampling: { ...sampling, seed: randomInt(2 ** 47) } };
}
