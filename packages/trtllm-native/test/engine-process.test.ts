// SPDX-License-Identifier: Apache-2.0
// What an engine takes from its process and from the machine: nothing when it is idle, nothing that is not there, and
// nothing that it does not give back.
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpointFolder, huggingFace } from "../src/model/__fixtures__/tiny-checkpoint.js";
import { cycles, NOTHING_LEFT } from "./fixtures/engine-cycles.js";
import { runEngineProcess } from "./fixtures/engine-process.js";

const folder = checkpointFolder();
let model: string;
beforeAll(async () => {
	model = await folder.saveHuggingFace(huggingFace("llama"));
});
afterAll(() => folder.dispose());

const linux = describe.skipIf(process.platform !== "linux");

linux("with 64 GiB of address space (limits of Linux)", () => {
	/** V8 takes ten GiB of addresses for every WebAssembly memory; a hundred threads want a GiB each. */
	const addressSpace = { totalKiB: 64 * 2 ** 20, stackKiB: 2 ** 20 };

	it.each<[string, object, RegExp]>([
		[
			"KV cache",
			{ numKvBlocks: 2 ** 31 - 1 },
			/KV cache of 2147483647 blocks takes \d+ MiB, more than the \d+ MiB that there are; use fewer blocks/,
		],
		[
			"activations",
			{ maxNumBatchedTokens: 2 ** 29 },
			/cannot allocate \d{4,} MiB for activations; free memory, use a smaller model/,
		],
		["threads", { threads: 100 }, /cannot create a worker thread.*use fewer threads/],
	])("an engine says that there is no room for its %s; a smaller one runs then", (_, options, message) => {
		const program = `
			const large = create(${JSON.stringify(options)});
			const { code, message } = await large.start().catch((error) => error);
			await large.close();
			const small = create({});
			await small.start();
			return { code, message, health: large.health().status, tokens: await answer(small) };`;
		expect(runEngineProcess(model, program, { addressSpace })).toEqual({
			code: "OUT_OF_MEMORY",
			message: expect.stringMatching(message),
			health: "dead",
			tokens: 20,
		});
	});
});

linux("without work (procfs of Linux)", () => {
	it("an engine uses no CPU time", () => {
		const program = `
			const { readdirSync, readFileSync } = await import("node:fs");
			// Clock ticks, 10 ms each, that each thread has run for, in user mode and in the kernel (proc(5): fields 14 and 15).
			const threads = () => new Map(readdirSync("/proc/self/task").map((id) => {
				const fields = readFileSync("/proc/self/task/" + id + "/stat", "utf8").split(") ")[1].split(" ");
				return [id, Number(fields[11]) + Number(fields[12])];
			}));
			const before = threads();
			const engine = create({ threads: 4 });
			await engine.start();
			for (let i = 0; i < 200; i++) await answer(engine);
			const worked = threads();
			await new Promise((resolve) => setTimeout(resolve, 2000));
			const idle = threads();
			await engine.close();
			const sum = (ticks, ids) => ids.reduce((total, id) => total + (ticks.get(id) ?? 0), 0);
			const own = [...idle.keys()].filter((id) => !before.has(id));
			const others = [...idle.keys()].filter((id) => before.has(id));
			return {
				threads: own.length,
				hasWorked: sum(worked, own) > 0,
				idleTicks: sum(idle, own) - sum(worked, own),
				otherTicks: sum(idle, others) - sum(worked, others),
			};`;
		const { otherTicks, ...engine } = runEngineProcess(model, program) as { otherTicks: number };
		expect(engine).toEqual({ threads: 4, hasWorked: true, idleTicks: 0 });
		expect(otherTicks).toBeLessThanOrEqual(5); // of Node: garbage of the work before, 50 ms
	});
});

linux("engines one after another (procfs of Linux)", () => {
	it("give back memory, threads and files: a hundred", () => {
		expect(runEngineProcess(model, cycles(100))).toEqual(NOTHING_LEFT);
	});
});
