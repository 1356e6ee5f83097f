// SPDX-License-Identifier: Apache-2.0
import type { KvEndpoint, KvSession } from "@dyn/protocols";

/** KV blocks that a prefill engine holds for whoever knows the session's id. */
export interface KvOffer {
	readonly numBlocks: number;
	/** Of one block, all layers, keys and values. */
	readonly blockBytes: number;
	/** Content of block `index`, 0..numBlocks-1; valid until the next call. */
	read(index: number): Uint8Array;
	/** Called once: the blocks were collected, withdrawn, or nobody came in time. */
	onEnd(): void;
}

export interface KvOfferOptions {
	/** After which nobody is waited for any more, ms. */
	readonly deadlineMs: number;
}

/** Moves KV blocks between engines. One agent per process; a session id is a secret that gives access to its blocks. */
export interface KvTransferAgent {
	/** What `KvSession.transferBackend` says, so that only agents that understand each other talk. */
	readonly backend: string;
	/** Where others reach this agent. */
	readonly endpoints: readonly KvEndpoint[];
	/** @throws DynError INVALID_ARGUMENT when the id is taken */
	offer(sessionId: string, offer: KvOffer, options: KvOfferOptions): void;
	/** Takes an offer back; nothing happens when there is none. */
	withdraw(sessionId: string): void;
	/** Sessions that wait to be collected. */
	readonly offered: number;
	/**
	 * The blocks of a session from `firstBlock` on, in order. When the last one was taken the offer ends; leaving early keeps
	 * it for another try.
	 * @throws DynError NOT_FOUND for a session that is gone, DISCONNECTED when the other side fails, the reason of `signal`
	 */
	pull(
		session: KvSession,
		options: { readonly firstBlock: number; readonly blockBytes: number; readonly signal: AbortSignal },
	): AsyncIterable<Uint8Array>;
	/** Ends every offer and transfer. Idempotent. */
	close(): Promise<void>;
}
