// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { ServedEndpoint } from "@dyn/runtime";

export interface PresenceParts {
	readonly served: Pick<ServedEndpoint, "announce" | "withdraw">;
	/** Puts the model card into discovery. */
	publishCard(): Promise<{ withdraw(): Promise<void> }>;
	readonly logger: Logger;
}

/** Keeps a worker's instance and model card in discovery while it can serve, and out of it while it cannot. */
export class Presence {
	readonly #parts: PresenceParts;
	/** The card in discovery, if any. */
	#card: { withdraw(): Promise<void> } | null = null;
	#wanted = true;
	/** What discovery says about the instance; `serve` announced it. */
	#announced = true;
	#left = false;
	#work: Promise<void> | null = null;

	constructor(parts: PresenceParts) {
		this.#parts = parts;
	}

	/** Publishes the card for the first time. @throws DynError of the discovery store */
	async begin(): Promise<void> {
		this.#card = await this.#parts.publishCard();
	}

	/** Comes or goes, in its time. What fails is tried again at the next call. */
	want(present: boolean): void {
		if (this.#left) return;
		this.#wanted = present;
		if (this.#settled) return;
		this.#work ??= this.#move().finally(() => {
			this.#work = null;
		});
	}

	/** Takes the card out of discovery for good; the endpoint takes its instance out itself. Does not reject. */
	async leave(): Promise<void> {
		this.#left = true;
		await this.#work;
		await this.#withdrawCard().catch((error) =>
			this.#parts.logger.warn("model card stays in discovery until its lease ends", { error }),
		);
	}

	get #settled(): boolean {
		return this.#announced === this.#wanted && (this.#card !== null) === this.#wanted;
	}

	async #move(): Promise<void> {
		const { served, publishCard, logger } = this.#parts;
		try {
			while (!this.#settled && !this.#left) {
				if (this.#wanted) {
					await served.announce();
					this.#announced = true;
					this.#card ??= await publishCard();
				} else {
					await this.#withdrawCard();
					await served.withdraw();
					this.#announced = false;
				}
			}
		} catch (error) {
			logger.warn("discovery does not say yet whether this worker can serve", { error });
		}
	}

	async #withdrawCard(): Promise<void> {
		await this.#card?.withdraw();
		this.#card = null;
	}
}
