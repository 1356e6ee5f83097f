// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { CompletionEnd } from "./completion-stream.js";
import { Phases } from "./phases.js";

it("counts a request in the phase in which it ended", () => {
	const phases = new Phases();
	const end = (endedMs: number, error: string | null = null): CompletionEnd => ({
		status: 200,
		tokens: 1,
		promptTokens: 1,
		textsMs: [],
		left: false,
		error,
		beganMs: endedMs - 5,
		endedMs,
	});
	phases.add(end(performance.now()));
	phases.outageBegins();
	phases.add(end(performance.now(), "refused"));
	phases.outageEnds(1000);
	phases.add(end(performance.now()));
	phases.add(end(performance.now() + 2000, "lost"));
	const { before, during, returning, after } = phases.tallies;
	expect([before, during, returning, after].map(({ requests }) => requests)).toEqual([1, 1, 1, 1]);
	expect([before, during, returning, after].map(({ failed }) => failed)).toEqual([0, 1, 0, 1]);
	expect(after.errors).toEqual({ lost: 1 });
});
