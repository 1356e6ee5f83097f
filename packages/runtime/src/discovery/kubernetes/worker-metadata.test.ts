// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { decodeWorkerMetadata, encodeWorkerMetadata, ownerPodUid } from "./worker-metadata.js";

const owner = { name: "worker-0", podName: "worker-0", podUid: "uid-0" };
const instance = ["v1/instances/n/c/e/1", '{"instance_id":18446744073709551615}'] as const;

test("what is encoded is decoded, ids beyond 2^53 and all", () => {
	const entries = [
		instance,
		["v1/mdc/n/c/e/1", '{"card_json":{}}'],
		["v1/event_channels/n//t/1", "{}"],
	] as const;
	const document = encodeWorkerMetadata(owner, entries);
	expect(document).toContain('"endpoints":{"n/c/e/1":{"instance_id":18446744073709551615}}');
	expect(
		decodeWorkerMetadata({ spec: { data: { endpoints: { "n/c/e/1": { instance_id: 2n ** 64n - 1n } } } } }),
	).toEqual(new Map([instance]));
	expect([...decodeWorkerMetadata(JSON.parse(document)).keys()]).toEqual(entries.map(([key]) => key));
	expect(ownerPodUid(JSON.parse(document))).toBe("uid-0");
});

test("the document is YAML too: what YAML reads otherwise is escaped, and nothing else", () => {
	const text = "tab\t é 日 😀 \u007f \u0085 \u2028 \u2029 \ufeff";
	const document = encodeWorkerMetadata(owner, [["v1/mdc/n/c/e/1", JSON.stringify({ text })]]);
	expect(document).toContain("\\t é 日 😀 \\u007f \\u0085 \\u2028 \\u2029 \\ufeff");
	expect(JSON.parse(document).spec.data.model_cards["n/c/e/1"].text).toBe(text);
});

test.each([
	["no spec", {}],
	["null data", { spec: { data: null } }],
	["a list for a map", { spec: { data: { model_cards: [] } } }],
	["text for a record", { spec: { data: { endpoints: { "n/c/e/1": "x" } } } }],
])("%s is an error that names the field", (_, resource) => {
	expect(() => decodeWorkerMetadata(resource)).toThrow(/INVALID_ARGUMENT.*spec\.data/);
});

test("nulls and maps of other names are nothing", () => {
	const data = { endpoints: null, model_cards: { x: null }, event_sources: { y: { type: "EventSource" } } };
	expect(decodeWorkerMetadata({ spec: { data } }).size).toBe(0);
});
