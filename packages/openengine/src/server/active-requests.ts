// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import * as m from "../generated/messages.js";
import { GrpcStatus } from "../grpc/status.js";

/** Ended requests that are remembered, so that an abort that comes too late is told apart from one for nothing. */
const REMEMBERED = 1024;

interface Active {
	readonly abort: AbortController;
	/** Session that it was given, if any. */
	readonly sessionId: string | undefined;
}

/** The running requests by id. */
export class ActiveRequests {
	readonly #active = new Map<string, Active>();
	readonly #ended = new Set<string>();

	get size(): number {
		return this.#active.size;
	}

	/**
	 * @returns aborts when the request is to end
	 * @throws DynError with status ALREADY_EXISTS while a request of the same id runs
	 */
	begin(id: string, sessionId: string | undefined): AbortSignal {
		if (this.#active.has(id))
			throw new DynError(
				"INVALID_ARGUMENT",
				`request ${JSON.stringify(id)} is running already; use another id`,
				{
					details: { param: "request_id", grpcStatus: GrpcStatus.ALREADY_EXISTS },
				},
			);
		const abort = new AbortController();
		this.#active.set(id, { abort, sessionId });
		this.#ended.delete(id);
		return abort.signal;
	}

	end(id: string): void {
		this.#active.delete(id);
		this.#ended.add(id);
		if (this.#ended.size <= REMEMBERED) return;
		for (const oldest of this.#ended) {
			this.#ended.delete(oldest);
			return;
		}
	}

	/** @throws DynError INVALID_ARGUMENT without a target, NOT_FOUND for one that never was */
	abort({ requestId, kvSession, allRequests }: m.AbortRequest): m.AbortResponse {
		const chosen =
			requestId !== undefined
				? this.#matching((id) => id === requestId)
				: kvSession !== undefined
					? this.#matching((_, { sessionId }) => sessionId === kvSession.sessionId)
					: allRequests !== undefined
						? this.#matching(() => true)
						: null;
		if (!chosen)
			throw invalidArgument("target", "the abort has no target; name one request, one session or all");
		for (const { abort } of chosen) abort.abort();
		if (chosen.length > 0 || allRequests !== undefined) return { status: m.AbortStatus.ABORTED, message: "" };
		if (requestId !== undefined && this.#ended.has(requestId))
			return { status: m.AbortStatus.ALREADY_FINISHED, message: "" };
		throw new DynError("NOT_FOUND", "no request of that id or session is running");
	}

	#matching(accept: (id: string, active: Active) => boolean): Active[] {
		return [...this.#active].filter(([id, active]) => accept(id, active)).map(([, active]) => active);
	}
}
