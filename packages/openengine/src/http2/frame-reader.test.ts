// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { FrameReader } from "./frame-reader.js";
import { DEFAULT_MAX_FRAME_BYTES, FRAME_HEADER_BYTES, FrameType, newFrame } from "./frames.js";

const frameOf = (type: number, stream: number, payload: string) => {
	const frame = newFrame(type, 5, stream, payload.length);
	frame.write(payload, FRAME_HEADER_BYTES);
	return frame;
};

function readerOf(): { reader: FrameReader; frames: unknown[] } {
	const frames: unknown[] = [];
	const reader = new FrameReader({
		receive: (type, flags, stream, bytes, start, end) => {
			frames.push([type, flags, stream, bytes.toString("latin1", start, end)]);
		},
	});
	return { reader, frames };
}

it("finds the same frames wherever the reads are cut", () => {
	const wire = Buffer.concat([
		frameOf(FrameType.DATA, 1, "abc"),
		frameOf(FrameType.SETTINGS, 0, ""),
		frameOf(FrameType.DATA, 2 ** 31 - 1, "x".repeat(40)),
	]);
	for (let first = 0; first <= wire.length; first++)
		for (let second = first; second <= wire.length; second += 7) {
			const { reader, frames } = readerOf();
			// As a socket does: every read is in the same buffer.
			const buffer = Buffer.alloc(wire.length);
			for (const [from, to] of [
				[0, first],
				[first, second],
				[second, wire.length],
			] as const) {
				wire.copy(buffer, 0, from, to);
				reader.read(buffer.subarray(0, to - from));
			}
			expect(frames).toEqual([
				[0, 5, 1, "abc"],
				[4, 5, 0, ""],
				[0, 5, 2 ** 31 - 1, "x".repeat(40)],
			]);
		}
});

it("takes the largest frame, and no larger one, before it has come", () => {
	const { reader, frames } = readerOf();
	const largest = frameOf(FrameType.DATA, 1, "x".repeat(DEFAULT_MAX_FRAME_BYTES));
	for (let at = 0; at < largest.length; at += 1000) reader.read(largest.subarray(at, at + 1000));
	expect(frames).toHaveLength(1);
	const header = newFrame(FrameType.DATA, 0, 1, DEFAULT_MAX_FRAME_BYTES + 1).subarray(0, FRAME_HEADER_BYTES);
	expect(() => reader.read(header)).toThrow(/a frame of 16385 bytes/);
	// Over two reads too.
	const other = readerOf().reader;
	other.read(header.subarray(0, 4));
	expect(() => other.read(header.subarray(4))).toThrow(/a frame of 16385 bytes/);
});
