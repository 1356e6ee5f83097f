// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Fleet, fold } from "../__fixtures__/fleet.js";
import { foldEngine } from "../__fixtures__/fold-engine.js";
import { type Answer, end } from "../__fixtures__/served-model.js";

/** How an instance dies: with an error, at an early end, or giving up by itself. */
const death = fc.constantFrom<"DISCONNECTED" | "UNAVAILABLE" | "DRAINING" | "early end" | "gives up">(
	"DISCONNECTED",
	"UNAVAILABLE",
	"DRAINING",
	"early end",
	"gives up",
);

const instance = fc.record({
	outputs: fc.nat(12),
	death,
	burst: fc.integer({ min: 1, max: 5 }),
	lateFinish: fc.boolean(),
});

const dying = ({
	outputs,
	death,
	...how
}: {
	outputs: number;
	death: string;
	burst: number;
	lateFinish: boolean;
}): Answer =>
	async function* (request) {
		let left = outputs;
		for (const output of foldEngine(request, how)) {
			if (left-- === 0) break;
			yield output;
		}
		if (death === "gives up") yield end("cancelled");
		else if (death !== "early end") throw new DynError(death as "DISCONNECTED", "injected");
	};

it("delivers the undisturbed stream, whatever fails when", async () => {
	await fc.assert(
		fc.asyncProperty(
			fc.array(fc.nat(255), { minLength: 1, maxLength: 20 }),
			fc.record({
				maxTokens: fc.option(fc.integer({ min: 1, max: 40 })),
				minTokens: fc.option(fc.nat(40)),
				stopTokenIds: fc.array(fc.integer({ min: 97, max: 122 }), { maxLength: 2 }),
			}),
			fc.array(instance, { maxLength: 5 }),
			async (tokenIds, stop, dead) => {
				const request = {
					tokenIds,
					stop: { ...stop, maxTokens: stop.maxTokens ?? 50 },
					output: { logprobs: 0 },
				};
				const expected = await fold(foldEngine(createGenerateRequest(request)));
				const fleet = await Fleet.create(dead.length + 1, ...dead.map(dying));
				try {
					const { usage, ...answer } = await fold(
						fleet.migrate(request, { options: { limit: dead.length } }),
					);
					const { usage: counted, ...rest } = expected;
					expect(answer).toEqual(rest);
					expect(usage).toMatchObject({
						promptTokens: tokenIds.length,
						completionTokens: counted!.completionTokens,
					});
				} finally {
					await fleet.close();
				}
			},
		),
		{ numRuns: 300, seed: 20261121 },
	);
});
