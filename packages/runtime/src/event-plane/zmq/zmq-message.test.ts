// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { encodeMsgpack } from "@dyn/protocols/msgpack";
import { describe, expect, it } from "vitest";
import { openEnvelope } from "../envelope.js";
import { decodeMessage, encodeFrame, encodeMessage } from "./zmq-message.js";

/** Recorded from a stock worker of Dynamo 1.6.1: one message a line, its frames as hex. */
const recorded = readFileSync(new URL("__fixtures__/stock-messages.jsonl", import.meta.url), "utf8")
	.trim()
	.split("\n")
	.map((line) => (JSON.parse(line) as string[]).map((hex) => Buffer.from(hex, "hex")));
const golden = Buffer.from(
	"010000004c85ac7075626c69736865725f6964cd3039a873657175656e63652aac7075626c69736865645f6174" +
		"cf0000018bcfe56800a5746f706963a96b762d6576656e7473a77061796c6f6164c40180",
	"hex",
);

it("frames an envelope as Dynamo does", () => {
	const frame = encodeFrame({
		publisherId: 12345n,
		sequence: 42n,
		publishedAtMs: 1700000000000,
		topic: "kv-events",
		payload: Uint8Array.of(0x80),
	});
	expect(frame.toString("hex")).toBe(golden.toString("hex"));
});

describe("recorded messages", () => {
	it("are of every topic", () => {
		expect(new Set(recorded.map(([topic]) => String(topic)))).toEqual(
			new Set(["kv-events", "kv_metrics", "active_sequences_events", "forward-pass-metrics"]),
		);
	});

	it.each(recorded.map((frames, i) => [`${i} ${frames[0]}`, frames] as const))(
		"%s re-encodes byte for byte",
		(_, frames) => {
			const { topic, envelope } = decodeMessage(frames);
			expect(envelope.topic).toBe(topic);
			const payload = encodeMsgpack(openEnvelope(envelope).payload);
			const frame = encodeFrame({ ...envelope, payload: withFloats(envelope.payload, payload) });
			const again = encodeMessage(Buffer.from(topic), envelope.publisherId, envelope.sequence, frame);
			expect(again.map((each) => Buffer.from(each).toString("hex"))).toEqual(
				frames.map((each) => each.toString("hex")),
			);
		},
	);
});

/** Whole numbers that were floats are integers here; a payload with floats is compared undecoded. */
function withFloats(recordedPayload: Uint8Array, encoded: Uint8Array): Uint8Array {
	return Buffer.from(recordedPayload).includes(0xcb) ? recordedPayload : encoded;
}

describe("refuses", () => {
	const good = () => {
		const [topic, publisherId, sequence, frame] = recorded[0]!;
		return [topic!, publisherId!, sequence!, Buffer.from(frame!)] as [Buffer, Buffer, Buffer, Buffer];
	};
	it.each<[string, () => Buffer[]]>([
		["no frames", () => []],
		["three frames", () => good().slice(1)],
		["a fifth frame", () => [...good(), Buffer.alloc(1)]],
		["a short publisher id", () => [good()[0], Buffer.alloc(7), good()[2], good()[3]]],
		["an empty frame", () => [...good().slice(0, 3), Buffer.alloc(0)]],
		[
			"another version",
			() => [...good().slice(0, 3), Buffer.concat([Buffer.from([2]), good()[3].subarray(1)])],
		],
		["a frame that says it is longer", () => [...good().slice(0, 3), lengthened(good()[3])]],
		["a cut frame", () => [...good().slice(0, 3), good()[3].subarray(0, -1)]],
		["another's publisher id", () => [good()[0], Buffer.alloc(8), good()[2], good()[3]]],
		["another sequence", () => [good()[0], good()[1], Buffer.alloc(8, 1), good()[3]]],
	])("%s", (_, frames) => {
		expect(() => decodeMessage(good())).not.toThrow();
		expect(() => decodeMessage(frames())).toThrow();
	});
});

function lengthened(frame: Buffer): Buffer {
	frame.writeUInt32BE(frame.readUInt32BE(1) + 1, 1);
	return frame;
}
