// SPDX-License-Identifier: Apache-2.0
// Every side-by-side measurement and endurance run, one command each:   node apps/bench/dist/main.js <command> [options]
// JSON lines on standard output; docs/benchmarks.md has the tables made from them.

interface BenchModule {
	readonly usage: string;
	run(argv: readonly string[]): Promise<void>;
}

const commands: Record<string, () => Promise<BenchModule>> = {
	engine: async () => {
		const { engineBench, usage } = await import("./engine/engine-bench.js");
		return { run: engineBench, usage };
	},
	http: async () => {
		const { httpBench, usage } = await import("./http/http-bench.js");
		return { run: httpBench, usage };
	},
	startup: async () => {
		const { startupBench, usage } = await import("./startup-bench.js");
		return { run: startupBench, usage };
	},
	logits: async () => {
		const { logitsBench, usage } = await import("./logits-bench.js");
		return { run: logitsBench, usage };
	},
	guided: async () => {
		const { guidedBench, usage } = await import("./guided-bench.js");
		return { run: guidedBench, usage };
	},
	plane: async () => {
		const { planeBench, usage } = await import("./plane-bench.js");
		return { run: planeBench, usage };
	},
	"plane-stock": async () => {
		const { planeStockBench, usage } = await import("./plane-stock-bench.js");
		return { run: planeStockBench, usage };
	},
	worker: async () => {
		const { workerBench, usage } = await import("./worker-bench.js");
		return { run: workerBench, usage };
	},
	speculation: async () => {
		const { speculationBench, usage } = await import("./speculation/speculation-bench.js");
		return { run: speculationBench, usage };
	},
	soak: async () => {
		const { soakBench, usage } = await import("./endurance/soak.js");
		return { run: soakBench, usage };
	},
	outage: async () => {
		const { outageBench, usage } = await import("./endurance/outage.js");
		return { run: outageBench, usage };
	},
};

const [name = "", ...argv] = process.argv.slice(2);
const load = commands[name];
if (load && !argv.includes("--help")) await (await load()).run(argv);
else {
	const modules = await Promise.all((load ? [load] : Object.values(commands)).map((each) => each()));
	console.log(modules.map(({ usage }) => usage).join("\n\n"));
	process.exitCode = load || name === "" || name === "--help" ? 0 : 2;
}
