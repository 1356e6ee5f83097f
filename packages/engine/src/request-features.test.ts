// SPDX-License-Identifier: Apache-2.0
import { createGenerateRequest } from "@dyn/protocols";
import { expect, it } from "vitest";
import { EXAMPLES } from "./conformance/feature-examples.js";
import { checkFeatures, REQUEST_FEATURES, requestedFeatures } from "./request-features.js";

it.each(REQUEST_FEATURES)("refuses %s by its name, and only where it is missing", (feature) => {
	const request = createGenerateRequest({ tokenIds: [1], ...EXAMPLES[feature] });
	expect(requestedFeatures(request)).toEqual([feature]);
	expect(() => checkFeatures(request, [feature])).not.toThrow();
	const others = REQUEST_FEATURES.filter((each) => each !== feature);
	expect(() => checkFeatures(request, others)).toThrow(`[UNIMPLEMENTED] ${feature} is not supported`);
});

it("finds nothing special in a plain request, in values that change nothing, or in an urgent canary", () => {
	const plain = [
		{},
		{ sampling: { n: 2, bestOf: 2, lengthPenalty: 1 }, routing: { priority: 0 } },
		{ stop: { stopStrings: ["END"] } },
		{ healthCheck: true, routing: { priority: 1 } },
	];
	for (const init of plain)
		expect(requestedFeatures(createGenerateRequest({ tokenIds: [1], ...init }))).toEqual([]);
});
