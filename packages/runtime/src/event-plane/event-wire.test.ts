// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decodeEnvelope, encodeEnvelope } from "./envelope.js";
import { decodeEventChannel, encodeEventChannel } from "./event-channel.js";
import { eventChannelKey, eventChannelPrefix, eventSubject } from "./subject.js";

const fixture = (name: string) => readFileSync(new URL(`__fixtures__/${name}`, import.meta.url), "utf8");
const endpoint = { namespace: "dynamo", component: "backend", endpoint: "generate" };

describe("envelope", () => {
	it("has the fields in Dynamo's order", () => {
		const bytes = encodeEnvelope({
			publisherId: 12345n,
			sequence: 42n,
			publishedAtMs: 1700000000000,
			topic: "kv-events",
			payload: Uint8Array.of(0x80),
		});
		expect(Buffer.from(bytes).toString("hex")).toBe(
			"85ac7075626c69736865725f6964cd3039a873657175656e63652aac7075626c69736865645f6174" +
				"cf0000018bcfe56800a5746f706963a96b762d6576656e7473a77061796c6f6164c40180",
		);
	});

	it("keeps all 64 bits of ids and sequences", () => {
		const envelope = {
			publisherId: 2n ** 64n - 1n,
			sequence: 2n ** 63n + 1n,
			publishedAtMs: 0,
			topic: "",
			payload: new Uint8Array(),
		};
		expect(decodeEnvelope(encodeEnvelope(envelope))).toMatchObject({
			publisherId: envelope.publisherId,
			sequence: envelope.sequence,
		});
	});

	it.each([
		["no map", "c0"],
		["nothing in it", "80"],
		["cut off", "85ac7075626c6973"],
		[
			"a negative id",
			"85ac7075626c69736865725f6964ffa873657175656e636500ac7075626c69736865645f617400a5746f706963a0a77061796c6f6164c400",
		],
		[
			"a payload that is text",
			"85ac7075626c69736865725f696400a873657175656e636500ac7075626c69736865645f617400a5746f706963a0a77061796c6f6164a0",
		],
	])("refuses what is none: %s", (_, hex) => {
		expect(() => decodeEnvelope(Buffer.from(hex, "hex"))).toThrow();
	});
});

describe("names", () => {
	it("name the scope", () => {
		expect(eventSubject({ namespace: "ns" }, "t")).toBe("namespace.ns.t");
		expect(eventSubject({ namespace: "ns", component: "c" }, "t")).toBe("namespace.ns.component.c.t");
		expect(eventSubject(endpoint, "kv-events")).toBe(
			"namespace.dynamo.component.backend.endpoint.generate.kv-events",
		);
		expect(eventChannelPrefix({ namespace: "ns" }, "t")).toBe("v1/event_channels/namespace/ns/topic/t/");
	});

	it("encode what could be taken for structure", () => {
		expect(eventSubject({ namespace: "a.b/c*ä" }, "x_y-Z >")).toBe(
			"namespace.a%2Eb%2Fc%2A%C3%A4.x_y-Z%20%3E",
		);
	});
});

describe("event channel", () => {
	// Recorded from a stock worker of Dynamo 1.6.1.
	it.each(Object.entries(JSON.parse(fixture("stock-channels.json")) as Record<string, string>))(
		"%s",
		(key, text) => {
			const channel = decodeEventChannel(text);
			const topic = key.split("/").at(-2)!;
			expect(channel.kind).toBe("Zmq");
			expect(encodeEventChannel(endpoint, topic, channel)).toBe(text);
			expect(eventChannelKey(endpoint, topic, channel.publisherId)).toBe(key);
		},
	);

	it("of a namespace and of a component", () => {
		const channel = { publisherId: 1n, kind: "Nats", config: { subject_prefix: "p" } };
		const tail = '"topic":"t","instance_id":1,"transport":{"kind":"Nats","config":{"subject_prefix":"p"}}}';
		expect(encodeEventChannel({ namespace: "n" }, "t", channel)).toBe(
			`{"type":"EventChannel","scope":{"kind":"namespace","name":"n"},${tail}`,
		);
		expect(encodeEventChannel({ namespace: "n", component: "c" }, "t", channel)).toBe(
			`{"type":"EventChannel","scope":{"kind":"component","namespace":"n","component":"c"},${tail}`,
		);
	});
});
