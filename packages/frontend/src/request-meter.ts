// SPDX-License-Identifier: Apache-2.0
import type { Usage } from "@dyn/protocols";

export interface RequestLabels {
	readonly model: string;
	readonly endpoint: string;
	readonly request_type: "stream" | "unary";
}

/** One request's clock. */
export class RequestMeter {
	readonly labels: RequestLabels;
	readonly #began = performance.now();
	readonly #report;
	/** Time from request to first token, ms; null before it. */
	firstTokenMs: number | null = null;
	#last: number | null = null;
	#ended = false;

	constructor(
		labels: RequestLabels,
		report: {
			/** The first token came, or none will. */
			answered(): void;
			firstToken(seconds: number): void;
			interToken(seconds: number): void;
			end(seconds: number, usage: Usage, errorType: string): void;
		},
	) {
		this.labels = labels;
		this.#report = report;
	}

	/** `count` tokens arrived together. */
	tokens(count: number): void {
		const now = performance.now();
		if (this.#last === null) {
			this.firstTokenMs = now - this.#began;
			this.#report.answered();
			this.#report.firstToken(this.firstTokenMs / 1000);
		} else this.#report.interToken((now - this.#last) / 1000 / count);
		this.#last = now;
	}

	/** @param errorType "" for success */
	end(usage: Usage, errorType: string): void {
		if (this.#ended) return;
		this.#ended = true;
		if (this.#last === null) this.#report.answered();
		this.#report.end((performance.now() - this.#began) / 1000, usage, errorType);
	}
}
