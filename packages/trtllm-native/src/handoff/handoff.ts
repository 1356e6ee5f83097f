// SPDX-License-Identifier: Apache-2.0
import type { BlockPool } from "@dyn/kvbm";
import type { Disaggregation, EngineOutput, GenerateRequest } from "@dyn/protocols";
import type { BlockHasher } from "@dyn/tokens";
import type { ForwardBackend } from "../backend/forward-backend.js";

/** Queues a request as if prefill and decode were never apart. */
export type AcceptRequest = (request: GenerateRequest) => Promise<AsyncIterator<EngineOutput, undefined>>;

/** Does an engine's part of requests whose prefill and decode are apart. */
export interface Handoff {
	/**
	 * @param hasher of the request's cache salt
	 * @throws DynError INVALID_ARGUMENT for a session that is not of this prompt, or of another kind of engine
	 */
	begin(
		request: GenerateRequest,
		disaggregation: Disaggregation,
		hasher: BlockHasher,
		call: { readonly accept: AcceptRequest; readonly signal: AbortSignal },
	): Promise<AsyncIterator<EngineOutput, undefined>>;
	/** Lets every block go that still waits for a decode engine. */
	close(): void;
}

/** What of the started engine a handoff works with. */
export type CreateHandoff = (engine: {
	readonly pool: BlockPool;
	readonly backend: ForwardBackend;
	/** Tokens per KV block. */
	readonly kvBlockSize: number;
}) => Handoff;
