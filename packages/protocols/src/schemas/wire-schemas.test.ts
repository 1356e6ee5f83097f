// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { DynError } from "@dyn/common";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";
import { FULL_REQUEST, SESSION } from "../__fixtures__/full-request.js";
import {
	decodeLlmEngineOutput,
	decodePreprocessedRequest,
	decodeRouterEvent,
	encodeLlmEngineOutput,
	encodePreprocessedRequest,
	encodeRouterEvent,
} from "../dynamo/index.js";
import { createGenerateRequest, type GenerateRequestInit } from "../generate-request.js";
import { parseJson, stringifyJson } from "../json.js";
import type { KvEventData } from "../kv-event.js";
import { WIRE_SCHEMAS } from "./index.js";

const ajv = new Ajv2020({ strictTypes: false, allErrors: true });
const validators = new Map(WIRE_SCHEMAS.map(({ name, schema }) => [name, ajv.compile(schema)]));
const isValid = (name: string, data: unknown): boolean => {
	// A JSON Schema knows numbers, not how a program keeps large ones.
	const numbers = JSON.parse(stringifyJson(data));
	return validators.get(name)!(numbers);
};
const overWire = (data: unknown): unknown => parseJson(stringifyJson(data));
const request = (init: Partial<GenerateRequestInit>) =>
	overWire(encodePreprocessedRequest(createGenerateRequest({ tokenIds: [1], ...init })));
const kvEvent = (data: KvEventData) =>
	overWire(encodeRouterEvent({ workerId: 2n ** 64n - 1n, event: { eventId: 1, dpRank: 0, data } }));

/** What the codecs write, by schema. */
const documents: readonly [string, unknown, (data: unknown) => unknown][] = [
	["preprocessed-request.v1", request({}), decodePreprocessedRequest],
	["preprocessed-request.v1", request(FULL_REQUEST), decodePreprocessedRequest],
	["health-check-payload.v1", request({ ...FULL_REQUEST, healthCheck: true }), decodePreprocessedRequest],
	[
		"llm-engine-output.v1",
		overWire(
			encodeLlmEngineOutput({
				index: 1,
				tokenIds: [5],
				logprobs: [{ tokenId: 5, logprob: -0.5, top: [{ tokenId: 5, logprob: -0.5 }] }],
				finishReason: "stop",
				stopTokenId: 8,
				usage: { promptTokens: 3, completionTokens: 2, cachedTokens: 1 },
				promptLogprobs: [null, { tokenId: 4, logprob: -2, top: [{ tokenId: 7, logprob: -1 }] }],
				kvSession: SESSION,
			}),
		),
		decodeLlmEngineOutput,
	],
	[
		"kv-event.v1",
		kvEvent({ type: "stored", parentHash: 1n, blocks: [{ blockHash: 2n ** 63n, tokensHash: 3n }] }),
		decodeRouterEvent,
	],
	["kv-event.v1", kvEvent({ type: "removed", blockHashes: [2n ** 63n] }), decodeRouterEvent],
	["kv-event.v1", kvEvent({ type: "cleared" }), decodeRouterEvent],
];

/** Fields that the codecs write for others and do not read. */
const UNREAD =
	/(total_tokens|storage_tier|residency_domain|start_position|stop_reason|\.args|attributes\..*|_HEALTH_CHECK)$/;

describe.each(documents)("%s", (name, document, decode) => {
	it("says what the codec writes", () => {
		expect(isValid(name, document), JSON.stringify(validators.get(name)!.errors)).toBe(true);
		expect(() => decode(document)).not.toThrow();
	});

	it("refuses and takes what the codec refuses and takes, field by field", () => {
		let refused = 0;
		const differing: string[] = [];
		for (const path of paths(document)) {
			if (UNREAD.test(path.join("."))) continue;
			for (const value of [{ strange: 1 }, [{ strange: 1 }], "strange", -1.5, true, null]) {
				const changed = replaced(document, path, value);
				const taken = doesNotThrow(() => decode(changed));
				if (!taken) refused++;
				if (isValid(name, changed) !== taken)
					differing.push(
						`${path.join(".")} = ${JSON.stringify(value)}: the codec ${taken ? "takes" : "refuses"} it`,
					);
			}
		}
		expect(differing).toEqual([]);
		expect(refused).toBeGreaterThan(5);
	});

	it("skips fields that it does not know", () => {
		const newer = { ...(document as object), from_the_future: [1] };
		expect(isValid(name, newer)).toBe(true);
		expect(() => decode(newer)).not.toThrow();
	});
});

it.each(WIRE_SCHEMAS.map(({ name, schema }) => [name, schema] as const))(
	"%s is what docs/reference/schemas publishes",
	(name, schema) => {
		const file = new URL(`../../../../docs/reference/schemas/${name}.schema.json`, import.meta.url);
		expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(schema);
	},
);

function doesNotThrow(work: () => unknown): boolean {
	try {
		work();
		return true;
	} catch (error) {
		expect(DynError.is(error), String(error)).toBe(true);
		return false;
	}
}

/** Paths of every field and item that is there. */
function paths(data: unknown, base: readonly (string | number)[] = []): (string | number)[][] {
	if (typeof data !== "object" || data === null) return [];
	const entries: [string | number, unknown][] = Array.isArray(data)
		? [...data.entries()]
		: Object.entries(data);
	return entries.flatMap(([key, value]) => [[...base, key], ...paths(value, [...base, key])]);
}

function replaced(data: unknown, [first, ...rest]: readonly (string | number)[], value: unknown): unknown {
	if (first === undefined) return value;
	const changed = (Array.isArray(data) ? [...data] : { ...(data as object) }) as Record<
		string | number,
		unknown
	>;
	changed[first] = replaced(changed[first], rest, value);
	return changed;
}
