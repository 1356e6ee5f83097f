// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { CompletionEnd } from "../endurance/completion-stream.js";
import { loadFigures } from "./load-figures.js";

const end = (textsMs: readonly number[], error: string | null = null): CompletionEnd => ({
	status: 200,
	tokens: 64,
	promptTokens: 256,
	textsMs,
	left: false,
	error,
	beganMs: 100,
	endedMs: 500,
});

describe("loadFigures", () => {
	it("measures the first text from the request and every other from the one before", () => {
		const figures = loadFigures([
			{ ends: [end([150, 160, 190])], ms: 1000, foreign: 0.1 },
			{ ends: [end([170]), end([300, 305])], ms: 1000, foreign: 0.3 },
		]);
		expect(figures).toMatchObject({
			requests: 3,
			errors: 0,
			timeToFirstToken: { p50: 70, p99: 200 },
			interTokenTime: { p50: 10, p99: 30 },
			foreign: 0.3,
		});
		expect(figures.outputTokensPerSecond).toEqual({ median: 96, min: 64, max: 128, runs: 2 });
	});

	it("counts no tokens and no times of failed answers", () => {
		const figures = loadFigures([
			{ ends: [end([110, 120]), end([100], "status 500")], ms: 1000, foreign: 0 },
		]);
		expect(figures).toMatchObject({ requests: 2, errors: 1, timeToFirstToken: { p50: 10, p99: 10 } });
		expect(figures.outputTokensPerSecond.median).toBe(64);
	});
});
