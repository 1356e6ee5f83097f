// SPDX-License-Identifier: Apache-2.0
import { afterEach, describe, expect, it } from "vitest";
import { DriverProcess } from "../driver-process.js";
import { BusyProcesses } from "./busy-processes.js";
import { interleave } from "./interleave.js";

/** A driver that claims a fixed speed. */
const fake = (tokensPerSecond: number) => `
	require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
		const question = JSON.parse(line);
		if (question.op === "quit") process.exit(0);
		if (question.n === 13) process.exit(3);
		const answer = JSON.stringify({ op: question.op, ms: 1000, tokens: ${tokensPerSecond} });
		setTimeout(() => console.log(answer), question.n === 2048 ? 200 : 0);
	});`;

const engines: DriverProcess[] = [];
const start = (name: string, speed: number) => {
	const engine = new DriverProcess(name, process.execPath, ["-e", fake(speed)]);
	engines.push(engine);
	return engine;
};
afterEach(async () => {
	await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

describe("interleave", () => {
	it("compares every engine with the first", async () => {
		const results = [];
		for await (const result of interleave(
			[start("peer", 100), start("ours", 250)],
			[{ op: "pp", n: 512 }],
			3,
		))
			results.push(result);
		expect(results.map(({ engine, ratio, speed }) => [engine, ratio, speed.median, speed.runs])).toEqual([
			["peer", 1, 100, 3],
			["ours", 2.5, 250, 3],
		]);
	});

	it("asks again beside busy processes, and tells what is kept", async () => {
		const busy = await BusyProcesses.start(1);
		const engine = start("ours", 250);
		const results = [];
		for await (const result of interleave([engine], [{ op: "pp", n: 2048 }], 2, busy)) results.push(result);
		await busy.close();
		expect(results[0]!.busy).toMatchObject({ processes: 1, kept: 1, speed: { runs: 2 } });
		expect(results[0]!.busy!.foreign).toBeGreaterThan(0);
		expect(results[0]!.speed.runs).toBe(2);
	});

	it("fails when a driver dies", async () => {
		const run = interleave([start("peer", 100)], [{ op: "pp", n: 13 }], 1).next();
		await expect(run).rejects.toThrow("peer ended with 3");
	});
});
