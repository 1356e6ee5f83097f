// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { LogitsProcessor } from "@dyn/logits";
import { describe, expect, it } from "vitest";
import { begin, collect, greedy, idle, text, tokens, tokensOf } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";

describe("logits processors", () => {
	const only = (id: number): LogitsProcessor => ({
		process: (_, logits) => {
			logits.fill(-Infinity);
			logits[id] = 0;
		},
	});

	it("see prompt and output so far, one instance per choice, and decide the token", async () => {
		const seen: number[][] = [];
		let instances = 0;
		const { engine } = await paperEngine({
			logitsProcessors: {
				seven: () => {
					instances++;
					return {
						process: (inputIds, logits) => {
							seen.push([...inputIds]);
							only(7).process(inputIds, logits);
						},
					};
				},
			},
		});
		const request = { tokenIds: [4, 5], logitsProcessors: [{ name: "seven", args: null }] };
		const outputs = await collect(engine, greedy({ ...request, stop: { maxTokens: 3 }, sampling: { n: 2 } }));
		expect([tokensOf(outputs, 0), tokensOf(outputs, 1), instances]).toEqual([[7, 7, 7], [7, 7, 7], 2]);
		expect(new Set(seen.map(String))).toEqual(new Set(["4,5", "4,5,7", "4,5,7,7"]));
	});

	it("that throw fail their own request, whatever it shares a step with", async () => {
		let calls = 0;
		const { engine, backend } = await paperEngine({
			logitsProcessors: {
				fragile: () => ({
					process: () => {
						if (++calls > 2) throw new Error("broken pipe of thoughts");
					},
				}),
			},
		});
		const quiet = greedy({ tokenIds: text(2, 40), stop: { maxTokens: 40 } });
		const expected = await tokens(engine, quiet);
		const beside = begin(engine, quiet);
		// 63 tokens: both choices fill a block in the step in which the first one fails.
		const failing = collect(
			engine,
			greedy({
				tokenIds: text(3, 63),
				sampling: { n: 2 },
				logitsProcessors: [{ name: "fragile", args: null }],
			}),
		);
		await expect(failing).rejects.toMatchObject({
			code: "LOGITS_PROCESSOR_FAILED",
			message: expect.stringContaining("fragile"),
			details: { processor: "fragile" },
		});
		expect(tokensOf(await (await beside).done)).toEqual(expected);
		expect(engine.health()).toEqual({ status: "healthy" });
		expect(engine.load()[0]).toMatchObject(idle);
		expect(backend.openSlots).toBe(0);
	});

	it("that leave nonsense are named, and fail their own request in a step of processed rows", async () => {
		const set = (value: number) => () => ({
			process: (_: Uint32Array, logits: Float32Array) => void logits.fill(value, 3, 4),
		});
		const { engine, backend } = await paperEngine({
			logitsProcessors: {
				fine: set(0),
				nan: set(Number.NaN),
				infinite: set(Infinity),
				silent: () => ({ process: (_, logits) => void logits.fill(-Infinity) }),
			},
		});
		const asked = (...names: readonly string[]) =>
			greedy({
				tokenIds: [4, 5],
				logitsProcessors: names.map((name) => ({ name, args: null })),
				stop: { maxTokens: 8 },
			});
		const expected = await tokens(engine, asked("fine"));
		const failure = (...names: readonly string[]) =>
			collect(engine, asked(...names)).catch((error: unknown) => error);
		const [beside, ...failures] = await Promise.all([
			tokens(engine, asked("fine", "fine")),
			failure("fine", "nan"),
			failure("nan", "fine"),
			failure("infinite"),
			failure("silent", "infinite"),
		]);
		expect(failures.map((error) => DynError.from(error).code)).toEqual(
			failures.map(() => "LOGITS_PROCESSOR_FAILED"),
		);
		expect(failures.map((error) => DynError.from(error).rawMessage)).toEqual([
			'logits processor nan: it set the logit of token 3 to NaN; use numbers, or -Infinity for "never"',
			'logits processor nan: it set the logit of token 3 to NaN; use numbers, or -Infinity for "never"',
			'logits processor infinite: it set the logit of token 3 to Infinity; use numbers, or -Infinity for "never"',
			"logits processor silent: no token is left to choose: every logit is -Infinity",
		]);
		expect(beside).toEqual(expected);
		expect(engine.health()).toEqual({ status: "healthy" });
		expect(backend.openSlots).toBe(0);
	});

	it("that nobody registered are refused by name", async () => {
		const { engine } = await paperEngine();
		await expect(
			collect(engine, greedy({ tokenIds: [4], logitsProcessors: [{ name: "no-such", args: null }] })),
		).rejects.toMatchObject({ code: "INVALID_ARGUMENT", details: { param: "nvext.logits_processors[0]" } });
	});
});
