// SPDX-License-Identifier: Apache-2.0
import { createGenerateRequest } from "@dyn/protocols";
import { afterEach, beforeEach, vi } from "vitest";
import { Fleet, type Folded, fold, frozen } from "./fleet.js";
import { foldEngine } from "./fold-engine.js";
import { type Answer, signalled } from "./served-model.js";

/** Silence after which a stream that was fast is left. */
export const LIMIT_MS = 3000;
/** Moves the clock. */
export const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** What a fleet's request amounts to, undisturbed. */
export const expected: Folded["tokenIds"] = (
	await fold(
		foldEngine(createGenerateRequest({ tokenIds: [1, 2, 3], stop: { maxTokens: 20, minTokens: 20 } })),
	)
).tokenIds;

export interface Silence {
	/** A fleet that the end of the test closes. */
	create(size: number, ...scripts: Answer[]): Promise<Fleet>;
	/** Freezes after `outputs` outputs, until `thaw`. */
	freezing(outputs?: number): Answer;
	/** Each output after `ms`, then frozen behind `outputs` of them. */
	slow(ms: number, outputs: number): Answer;
	/** Lets all that is frozen go on; what is asked from now on freezes anew. */
	thaw(): void;
}

/** For every test of a file: a clock that only the test moves, and fleets whose instances fall silent. */
export function silence(): Silence {
	const fleets: Fleet[] = [];
	let frost = signalled();
	const thaw = () => {
		frost.reach();
		frost = signalled();
	};
	beforeEach(() => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
	});
	afterEach(async () => {
		thaw();
		vi.useRealTimers();
		for (const fleet of fleets.splice(0)) await fleet.close();
	});
	const freezing = (outputs = 0) => frozen(frost.reached, outputs);
	return {
		async create(size, ...scripts) {
			const fleet = await Fleet.create(size, ...scripts);
			fleets.push(fleet);
			return fleet;
		},
		freezing,
		slow: (ms, outputs) =>
			async function* (request, context) {
				for await (const output of freezing(outputs)(request, context)) {
					await sleep(ms);
					yield output;
				}
			},
		thaw,
	};
}
