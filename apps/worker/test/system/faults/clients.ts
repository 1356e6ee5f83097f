// SPDX-License-Identifier: Apache-2.0
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { type StreamBody, type StreamEnd, streamOnce } from "./streams.js";

/** Clients that ask the same again and again, each once it has its last answer. */
export class Clients {
	/** All answers so far, in the order of their ends. */
	readonly ends: StreamEnd[] = [];
	readonly #asking: Promise<unknown>;
	#stopped = false;

	/** @param frontends one for each client */
	constructor(frontends: readonly Pick<DynProcess, "port">[], body: StreamBody) {
		this.#asking = Promise.all(
			frontends.map(async (frontend) => {
				while (!this.#stopped) this.ends.push(await streamOnce(frontend, body));
			}),
		);
	}

	/** Resolves once there are more than `count` ends, answers or failures: a slow machine needs longer for them. */
	async untilMoreThan(count: number): Promise<void> {
		await eventually(`more than ${count} answers`, async () => this.ends.length > count, 60_000);
	}

	/** Resolves once everybody has the last answer. */
	async stop(): Promise<void> {
		this.#stopped = true;
		await this.#asking;
	}
}
