// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { KvEventData, StoredBlock } from "@dyn/protocols";
import { type BlockHasher, createBlockHasher, trtllmBlockKey, trtllmSaltId } from "@dyn/tokens";
import type { EngineEvent, EngineEventData } from "./engine-event.js";
import type { KvEventMetrics } from "./kv-event-metrics.js";

/** Attention whose blocks are prefixes: what a router can use (Dynamo's list). */
const MAIN_ATTENTION = new Set(["full_attention", "mla_attention", "sink_full_attention"]);
/** Hashers of LoRA and salt that are kept. */
const KEPT_SCOPES = 64;
/** Blocks that are known not to be full; more would mean that the engine does not say when it drops them. */
const MAX_PARTIAL = 100_000;

export interface TranslatorOptions {
	/** Tokens per block. */
	readonly kvBlockSize: number;
	readonly metrics: KvEventMetrics;
	readonly logger: Logger;
}

/**
 * One rank's events from the engine's words into ours: only full blocks of the main attention that are text. Their tokens are
 * hashed as routers do; the engine's own hashes stay what they are, names.
 */
export class EventTranslator {
	readonly #options: TranslatorOptions;
	/** Names of blocks that nobody was told of. */
	readonly #partial = new Set<bigint>();
	readonly #hashers = new Map<string, Promise<BlockHasher>>();
	readonly #kindOfGroup = new Map<number, string>();
	#maxWindow: number | null = null;
	#isCreating = true;
	#hasWarned = false;

	constructor(options: TranslatorOptions) {
		this.#options = options;
	}

	/** What routers shall hear; null when nothing. */
	async translate(event: EngineEvent): Promise<KvEventData | null> {
		const { data } = event;
		if (data.type === "created") {
			if (this.#isCreating && event.windowSize !== null)
				this.#maxWindow = Math.max(this.#maxWindow ?? 0, event.windowSize);
			return null;
		}
		this.#isCreating = false;
		if (data.type === "cleared") {
			this.#partial.clear();
			return { type: "cleared" };
		}
		const reason = data.type === "updated" ? "updated" : this.#reasonToDrop(event);
		if (reason) this.#options.metrics.filtered(reason);
		else if (data.type === "stored") return this.#stored(event, data);
		else if (data.type === "removed") return this.#removed(data.hashes);
		return null;
	}

	#reasonToDrop({ windowSize, group, attentionKind, isOnDevice }: EngineEvent): string | null {
		if (!isOnDevice) return "not_on_device";
		if (group !== null && attentionKind !== null) this.#kindOfGroup.set(group, attentionKind);
		const kind = attentionKind ?? (group === null ? null : (this.#kindOfGroup.get(group) ?? null));
		if (kind !== null) return MAIN_ATTENTION.has(kind) ? null : "non_main_attention_kind";
		if (this.#maxWindow !== null && windowSize !== null && windowSize !== this.#maxWindow)
			return "other_window";
		return null;
	}

	async #stored(
		event: EngineEvent,
		data: Extract<EngineEventData, { type: "stored" }>,
	): Promise<KvEventData | null> {
		const { kvBlockSize, metrics } = this.#options;
		if (data.blocks.some(({ tokens }) => tokens !== null && tokens.length > kvBlockSize)) {
			metrics.filtered("oversize_block");
			return null;
		}
		const hasher = await this.#hasherOf(data.loraName, data.cacheSalt);
		const blocks: StoredBlock[] = [];
		let parent = data.parentHash;
		for (const [i, { hash, tokens }] of data.blocks.entries()) {
			if (hash === null) continue;
			if (tokens === null || tokens.length < kvBlockSize) {
				metrics.filtered(tokens === null ? "media" : "partial_block");
				// What follows hangs on a block that no router knows.
				for (const block of data.blocks.slice(i)) if (block.hash !== null) this.#remember(block.hash);
				break;
			}
			this.#partial.delete(hash);
			this.#verify(event, data, hash, tokens, parent);
			blocks.push({ blockHash: hash, tokensHash: hasher.blockHash(Uint32Array.from(tokens)) });
			parent = hash;
		}
		return blocks.length > 0 ? { type: "stored", parentHash: data.parentHash, blocks } : null;
	}

	#removed(hashes: readonly bigint[]): KvEventData | null {
		const blockHashes = hashes.filter((hash) => !this.#partial.delete(hash));
		return blockHashes.length > 0 ? { type: "removed", blockHashes } : null;
	}

	#remember(hash: bigint): void {
		this.#partial.add(hash);
		if (this.#partial.size > MAX_PARTIAL) this.#partial.delete(this.#partial.values().next().value!);
	}

	/** A hash that can be checked and is wrong means that tokens and names do not belong together: worth a look, no more. */
	#verify(
		{ hashAlgorithm }: EngineEvent,
		{ loraName, cacheSalt }: { readonly loraName: string | null; readonly cacheSalt: string | null },
		hash: bigint,
		tokens: readonly number[],
		parent: bigint | null,
	): void {
		// Events name a LoRA, keys have its number.
		if (hashAlgorithm !== "v1_block_key" || loraName !== null) return;
		const saltId = cacheSalt === null ? null : trtllmSaltId(cacheSalt);
		if (trtllmBlockKey(tokens, parent, { saltId }) === hash) return;
		this.#options.metrics.mismatched();
		if (this.#hasWarned) return;
		this.#hasWarned = true;
		this.#options.logger.warn(
			"the engine's block hashes are not what its tokens give; they count as names only",
			{
				hash,
				hashAlgorithm,
				salted: cacheSalt !== null,
			},
		);
	}

	#hasherOf(loraName: string | null, cacheSalt: string | null): Promise<BlockHasher> {
		const key = JSON.stringify([loraName, cacheSalt]);
		const hasher = this.#hashers.get(key) ?? createBlockHasher({ loraName, cacheSalt });
		this.#hashers.delete(key);
		this.#hashers.set(key, hasher);
		if (this.#hashers.size > KEPT_SCOPES) this.#hashers.delete(this.#hashers.keys().next().value!);
		return hasher;
	}
}
