// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

interface Closable {
	close(): Promise<void>;
}

/** The publishers and subscriptions of an event plane: closed with it, and none opens after that. */
export class OpenSet {
	readonly #members = new Set<Closable>();
	#closed = false;

	/** @throws DynError UNAVAILABLE after `close` */
	check(): void {
		if (this.#closed) throw new DynError("UNAVAILABLE", "the event plane is closed");
	}

	/** Closes `member` at once if the plane was closed while it was opened. */
	async add(member: Closable): Promise<void> {
		if (this.#closed) await member.close();
		else this.#members.add(member);
	}

	/** `member` was closed. */
	delete(member: Closable): void {
		this.#members.delete(member);
	}

	/** Idempotent. */
	async close(): Promise<void> {
		this.#closed = true;
		await Promise.all([...this.#members].map((member) => member.close()));
	}
}
