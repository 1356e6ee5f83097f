// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ServedAnswer } from "./served-answer.js";

/** An answer of a handler, and what is told of it. */
function answerOf(handle: () => AsyncIterable<unknown>): { answer: ServedAnswer; told: unknown[] } {
	const told: unknown[] = [];
	const answer = new ServedAnswer(() => {
		told.push("begin");
		return {
			handle,
			onFirst: () => told.push("first"),
			onEnd: (end, error) => told.push(error ? [end, error] : end),
		};
	});
	return { answer, told };
}

async function* items(left: () => void = () => {}): AsyncGenerator<number> {
	try {
		yield* [1, 2];
	} finally {
		left();
	}
}

describe("a served answer", () => {
	it("passes on what comes, and tells of the first and the end", async () => {
		const { answer, told } = answerOf(items);
		expect(told).toEqual([]);
		expect(await answer.next()).toEqual({ value: 1, done: false });
		expect(told).toEqual(["begin", "first"]);
		expect(await answer.next()).toEqual({ value: 2, done: false });
		for (let i = 0; i < 2; i++) expect((await answer.next()).done).toBe(true);
		expect(told).toEqual(["begin", "first", "whole"]);
	});

	it("ends the handler's before it tells of a reader who left, and only then", async () => {
		const { answer, told } = answerOf(() => items(() => told.push("handler ends")));
		for await (const _ of answer) break;
		expect(told).toEqual(["begin", "first", "handler ends", "left"]);
		expect((await answer.next()).done).toBe(true);
		const unread = answerOf(items);
		await unread.answer.return();
		expect((await unread.answer.next()).done).toBe(true);
		expect(unread.told).toEqual([]);
	});

	it("tells of a failure, of the items or of the handler before them", async () => {
		const error = new Error("broken");
		const fail = (): never => {
			throw error;
		};
		const failing = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
		for (const handle of [fail, () => failing]) {
			const { answer, told } = answerOf(handle);
			await expect(answer.next()).rejects.toBe(error);
			expect((await answer.next()).done).toBe(true);
			expect(told).toEqual(["begin", ["failed", error]]);
		}
		await expect(new ServedAnswer(fail).next()).rejects.toBe(error);
	});
});
