// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { CallFailure } from "./call-failure.js";
import { MessageReader, prefixed } from "./message-reader.js";
import { GrpcStatus } from "./status.js";

const text = (bytes: Buffer) => bytes.toString("latin1");

it("finds the same messages wherever the data is cut", () => {
	const messages = ["", "abc", "x".repeat(10_000), "", "end"];
	const wire = Buffer.concat(messages.map((message) => prefixed(Buffer.from(message))));
	for (const step of [1, 2, 3, 4, 5, 6, 7, 100, 4096, 9000, wire.length]) {
		const reader = new MessageReader(10_000);
		const found: string[] = [];
		for (let at = 0; at < wire.length; at += step)
			reader.read(wire, at, Math.min(wire.length, at + step), (message) => found.push(text(message)));
		expect(found).toEqual(messages);
		expect(reader.isWithin).toBe(false);
	}
});

it("knows when the data ends within a message", () => {
	const reader = new MessageReader(10);
	reader.read(prefixed(Buffer.from("abc")), 0, 7, () => {});
	expect(reader.isWithin).toBe(true);
});

it("refuses a message that is too large before it has come, and a compressed one", () => {
	const refused = (wire: Buffer, cut: number) => {
		const reader = new MessageReader(10);
		let failure: unknown;
		try {
			reader.read(wire, 0, cut, () => {});
			reader.read(wire, cut, wire.length, () => {});
		} catch (error) {
			failure = error;
		}
		expect(failure).toBeInstanceOf(CallFailure);
		return (failure as CallFailure).status;
	};
	for (const cut of [0, 3, 5]) {
		expect(refused(Buffer.from("000000000b", "hex"), cut)).toBe(GrpcStatus.RESOURCE_EXHAUSTED);
		expect(refused(Buffer.from("0100000001", "hex"), cut)).toBe(GrpcStatus.INTERNAL);
	}
});
