// SPDX-License-Identifier: Apache-2.0

/** Requests that an engine works on, by their ids at the server behind it. */
export class ActiveRequests<Request> {
	readonly #requests = new Map<string, Request>();
	readonly #whenIdle: (() => void)[] = [];

	get size(): number {
		return this.#requests.size;
	}

	values(): Iterable<Request> {
		return this.#requests.values();
	}

	/** `id`, or one like it while that is taken: attempts of one request may overlap. */
	freeId(id: string): string {
		let own = id;
		for (let attempt = 2; this.#requests.has(own); attempt++) own = `${id}-${attempt}`;
		return own;
	}

	add(id: string, request: Request): void {
		this.#requests.set(id, request);
	}

	remove(id: string): void {
		this.#requests.delete(id);
		if (this.size === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
	}

	/** Resolves once there are none. */
	async idle(): Promise<void> {
		if (this.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
	}
}
