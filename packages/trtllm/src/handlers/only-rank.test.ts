// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createGenerateRequest, type GenerateRequest } from "@dyn/protocols";
import { expect, it } from "vitest";
import { onlyRank } from "./only-rank.js";

it("asks for no rank where rank 0 was asked for, and lets the engine refuse others", () => {
	const asked: GenerateRequest[] = [];
	const handler = onlyRank({
		name: "engine",
		generate(request) {
			asked.push(request);
			return (async function* () {})();
		},
	});
	const request = createGenerateRequest({ tokenIds: [1] });
	for (const dpRank of [0, 1, null])
		handler.generate({ ...request, routing: { ...request.routing, dpRank } }, createRequestContext());
	expect(asked.map(({ routing }) => routing.dpRank)).toEqual([null, 1, null]);
});
