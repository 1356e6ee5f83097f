// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { invalidArgument } from "@dyn/common";
import type { BlockPool } from "@dyn/kvbm";
import type { Disaggregation, EngineOutput, GenerateRequest } from "@dyn/protocols";
import { type BlockHasher, type TokenBlock, TokenBlockSequence } from "@dyn/tokens";
import { type AcceptRequest, type Handoff, mappedOutputs } from "@dyn/trtllm-native/core";
import { decodeSession, encodeSession, type MockerSession } from "./session-attributes.js";

export interface MockerHandoffParts {
	readonly pool: BlockPool;
	readonly kvBlockSize: number;
	readonly dpRank: number;
	/** After which the blocks of a session that nobody collected are let go, ms. */
	readonly deadlineMs: number;
	/** Hears of every full block of tokens that comes from elsewhere. */
	readonly onBlock: (tokens: Uint32Array) => void;
}

/** Sessions of this process by id, with what lets their blocks go. Those of other processes only end at their deadline. */
const waiting = new Map<string, () => void>();

/** Prefill and decode apart: a session holds the prompt's blocks here, and a decode engine pretends to have fetched them. */
export class MockerHandoff implements Handoff {
	readonly #parts: MockerHandoffParts;
	readonly #sessions = new Set<string>();

	constructor(parts: MockerHandoffParts) {
		this.#parts = parts;
	}

	async begin(
		request: GenerateRequest,
		disaggregation: Disaggregation,
		hasher: BlockHasher,
		{ accept }: { readonly accept: AcceptRequest },
	): Promise<AsyncIterator<EngineOutput, undefined>> {
		if ((request.sampling.n ?? 1) !== 1)
			throw invalidArgument("n", "n must be 1 when prefill and decode are apart");
		if (disaggregation.role === "prefill") {
			const outputs = await accept({ ...request, stop: { ...request.stop, maxTokens: 1, minTokens: null } });
			return mappedOutputs(outputs, (output) =>
				output.finishReason === "length" ? this.#offer(request, hasher, output) : output,
			);
		}
		const { session } = disaggregation;
		const first = decodeSession(session, request);
		const held = this.#receive(this.#blocks(request, hasher));
		try {
			waiting.get(session.sessionId)?.();
			return await replay(request, first, accept);
		} finally {
			this.#parts.pool.release(held);
		}
	}

	close(): void {
		for (const sessionId of this.#sessions) waiting.get(sessionId)?.();
	}

	/** The last output of a prefill, with the session that holds its blocks. */
	#offer(request: GenerateRequest, hasher: BlockHasher, output: EngineOutput): EngineOutput {
		const { pool, dpRank, deadlineMs } = this.#parts;
		const blocks = pool.matchPrefix(this.#blocks(request, hasher).map(({ sequenceHash }) => sequenceHash));
		pool.hold(blocks);
		const kvSession = encodeSession(randomBytes(8).readBigUInt64LE(), request, output, dpRank);
		const { sessionId } = kvSession;
		const end = () => {
			if (!waiting.delete(sessionId)) return;
			clearTimeout(deadline);
			this.#sessions.delete(sessionId);
			pool.release(blocks);
		};
		const deadline = setTimeout(end, deadlineMs).unref();
		waiting.set(sessionId, end);
		this.#sessions.add(sessionId);
		return { ...output, kvSession };
	}

	/** As many of the prompt's blocks as there is room for, held, as if they had been computed here. */
	#receive(hashes: readonly TokenBlock[]): number[] {
		const { pool } = this.#parts;
		const held = pool.matchPrefix(hashes.map(({ sequenceHash }) => sequenceHash));
		pool.hold(held);
		for (const [index, { sequenceHash: blockHash, blockHash: tokensHash }] of hashes.entries()) {
			if (index < held.length) continue;
			const block = pool.allocate(1);
			if (!block) break;
			held.push(...pool.commit(block, [{ blockHash, tokensHash }], hashes[index - 1]?.sequenceHash ?? null));
		}
		return held;
	}

	/** Full blocks that the request can reuse: its last token is computed in any case. */
	#blocks({ tokenIds }: GenerateRequest, hasher: BlockHasher): readonly TokenBlock[] {
		const { kvBlockSize, onBlock } = this.#parts;
		const reusable = Uint32Array.from(tokenIds.slice(0, -1));
		const { blocks } = appended(new TokenBlockSequence(hasher, kvBlockSize), reusable);
		for (const index of blocks.keys())
			onBlock(reusable.subarray(index * kvBlockSize, (index + 1) * kvBlockSize));
		return blocks;
	}
}

function appended(sequence: TokenBlockSequence, tokens: Uint32Array): TokenBlockSequence {
	sequence.append(tokens);
	return sequence;
}

/** The prefill's token first, then what follows it. */
async function replay(
	request: GenerateRequest,
	{ firstToken, firstLogprobs, cachedTokens }: MockerSession,
	accept: AcceptRequest,
): Promise<AsyncIterator<EngineOutput, undefined>> {
	const { stop } = request;
	const promptTokens = request.tokenIds.length;
	const first: EngineOutput = {
		index: 0,
		tokenIds: [firstToken],
		logprobs: request.output.logprobs === null ? null : [firstLogprobs!],
		finishReason: null,
		stopTokenId: null,
		usage: null,
	};
	if (stop.maxTokens === 1)
		return iterate([
			{ ...first, finishReason: "length", usage: { promptTokens, completionTokens: 1, cachedTokens } },
		]);
	const outputs = await accept({
		...request,
		tokenIds: Uint32Array.of(...request.tokenIds, firstToken),
		resumedTokens: request.resumedTokens + 1,
		stop: {
			...stop,
			maxTokens: stop.maxTokens === null ? null : stop.maxTokens - 1,
			minTokens: stop.minTokens === null ? null : Math.max(0, stop.minTokens - 1),
		},
		disaggregation: null,
	});
	return mappedOutputs(after([first], outputs), (output) =>
		output.usage
			? {
					...output,
					usage: { promptTokens, completionTokens: output.usage.completionTokens + 1, cachedTokens },
				}
			: output,
	);
}

function iterate<T>(items: readonly T[]): AsyncIterator<T, undefined> {
	return after(items, { next: async () => ({ done: true, value: undefined }) });
}

/** `items`, then `rest`. */
function after<T>(items: readonly T[], rest: AsyncIterator<T, undefined>): AsyncIterator<T, undefined> {
	const pending = [...items];
	return {
		next: async () => (pending.length > 0 ? { done: false, value: pending.shift()! } : rest.next()),
		return: async () => {
			pending.length = 0;
			await rest.return?.();
			return { done: true, value: undefined };
		},
	};
}
