// SPDX-License-Identifier: Apache-2.0
import { createGenerateRequest } from "@dyn/protocols";
import { expect, it } from "vitest";
import { prepareRequest } from "./request-rules.js";

const ranked = (conversationId: string | null) =>
	createGenerateRequest({ tokenIds: [1], routing: { dpRank: 3, conversationId } });

it.each([
	["engine", "c", null],
	["engine", null, 3],
	["dynamo", "c", 3],
	[undefined, "c", 3],
] as const)(
	"conversations placed by %s: of conversation %s goes to rank %s",
	(conversationAffinity, id, rank) => {
		expect(prepareRequest(ranked(id), { conversationAffinity }).routing.dpRank).toBe(rank);
	},
);
