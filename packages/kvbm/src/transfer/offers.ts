// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { KvOffer, KvOfferOptions } from "./kv-transfer-agent.js";

/** What an agent offers. Every offer ends exactly once, so nobody's blocks stay held. */
export class Offers {
	readonly #offers = new Map<string, { readonly offer: KvOffer; readonly timer: NodeJS.Timeout }>();

	get size(): number {
		return this.#offers.size;
	}

	add(sessionId: string, offer: KvOffer, { deadlineMs }: KvOfferOptions): void {
		if (this.#offers.has(sessionId))
			throw invalidArgument("session_id", `session ${sessionId} is offered already`);
		const timer = setTimeout(() => this.end(sessionId), deadlineMs).unref();
		this.#offers.set(sessionId, { offer, timer });
	}

	get(sessionId: string): KvOffer | undefined {
		return this.#offers.get(sessionId)?.offer;
	}

	end(sessionId: string): void {
		const entry = this.#offers.get(sessionId);
		if (!entry) return;
		this.#offers.delete(sessionId);
		clearTimeout(entry.timer);
		entry.offer.onEnd();
	}

	endAll(): void {
		for (const sessionId of [...this.#offers.keys()]) this.end(sessionId);
	}
}
