// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { applyProcessors } from "./apply-processors.js";
import { chain } from "./chain.js";
import type { LogitsProcessor } from "./logits-processor.js";
import { LogitsProcessorError } from "./logits-processor-error.js";

const ids = Uint32Array.of(1, 2);
const set = (id: number, value: number): LogitsProcessor => ({
	process(_ids, logits) {
		logits[id] = value;
	},
});
const late: LogitsProcessor = {
	process: async () => {
		throw new Error("too late");
	},
};

/** What applyProcessors throws for a row, or null. */
function failure(logits: Float32Array, ...processors: readonly (readonly [string, LogitsProcessor])[]) {
	try {
		applyProcessors(
			processors.map(([name, processor]) => ({ name, processor })),
			ids,
			logits,
		);
		return null;
	} catch (error) {
		expect(error).toBeInstanceOf(LogitsProcessorError);
		return error as LogitsProcessorError;
	}
}

describe("a batch of rows", () => {
	it("loses only the row whose processor throws, at any place in the batch", () => {
		const throwing: LogitsProcessor = {
			process() {
				throw new RangeError("no such token");
			},
		};
		for (let bad = 0; bad < 4; bad++) {
			const rows = Array.from({ length: 4 }, (_, row) => Float32Array.of(row, row + 1));
			const failures = rows.map((logits, row) =>
				failure(logits, ["raise", set(1, 10 + row)], ["check", row === bad ? throwing : set(0, -1)]),
			);
			expect(failures.map((error) => error?.message ?? null)).toEqual(
				rows.map((_, row) => (row === bad ? "logits processor check: no such token" : null)),
			);
			expect(failures[bad]!.cause).toBeInstanceOf(RangeError);
			for (const [row, logits] of rows.entries())
				expect([...logits]).toEqual([row === bad ? row : -1, 10 + row]);
		}
	});
});

describe("a row that cannot be sampled", () => {
	it.each([Number.NaN, Infinity])("is blamed on the processor that set a logit to %d", (value) => {
		const error = failure(
			new Float32Array(4),
			["first", set(0, 1)],
			["second", set(2, value)],
			["third", set(2, 0)],
		);
		expect(error).toMatchObject({ processor: "second" });
		expect(error!.message).toContain(`the logit of token 2 to ${value}`);
	});

	it("is found wherever its first such logit is, after any that cannot be", () => {
		for (let length = 1; length < 12; length++)
			for (let id = 0; id < length; id++)
				for (const never of [0, id]) {
					const logits = new Float32Array(length).fill(-Infinity, 0, never);
					const error = failure(logits, ["raise", set(id, Infinity)]);
					expect(error?.message).toContain(`the logit of token ${id} to Infinity`);
				}
	});

	it("is one without a number", () => {
		const silence: LogitsProcessor = { process: (_ids, logits) => void logits.fill(-Infinity) };
		expect(failure(new Float32Array(3), ["silence", silence])!.message).toContain(
			"no token is left to choose",
		);
		expect(failure(new Float32Array(3).fill(Number.NaN), ["idle", set(0, 1)])!.message).toContain(
			"token 1 to NaN",
		);
	});

	it("is not one with a single number, nor one that nobody processes", () => {
		const only = new Float32Array(3).fill(-Infinity);
		expect(failure(only, ["last", set(2, -5)])).toBeNull();
		expect(failure(new Float32Array(3).fill(Number.NaN))).toBeNull();
	});
});

describe("an async process", () => {
	it("is refused, and its rejection does not end the process", () => {
		const message = "logits processor late: process returned a promise; it must be synchronous";
		expect(failure(new Float32Array(1), ["late", late])!.message).toBe(message);
		expect(failure(new Float32Array(1), ["late", chain(set(0, 1), late)])!.message).toBe(message);
	});
});

describe("what was thrown", () => {
	it("may be anything", () => {
		const text: LogitsProcessor = {
			process() {
				throw "plain text"; // as sloppy user code does
			},
		};
		expect(failure(new Float32Array(1), ["text", text])).toMatchObject({
			message: "logits processor text: plain text",
			cause: "plain text",
		});
	});
});
