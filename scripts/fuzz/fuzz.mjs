// SPDX-License-Identifier: Apache-2.0
// Feeds damaged model files to everything that reads them, in processes of their own: no crash, no more CPU time than
// a second or twice the costliest template, no quarter of a gigabyte, and always a DynError. The same numbers make the same files.
//   node scripts/fuzz/fuzz.mjs [--minutes 10] [--from 0] [--cases N] [--keep FOLDER]        needs a built workspace
import { fork } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const seeds = fileURLToPath(new URL("seeds", import.meta.url));
const child = fileURLToPath(new URL("fuzz-child.mjs", import.meta.url));
/** By the clock, on a machine that may be busy with other things; within the process CPU time counts. */
const HANG_MS = 20_000;

/**
 * @param from number of the first case; the first ones are the seeds unchanged
 * @param goesOn whether another case may begin, asked between batches
 * @returns {cases, problems: [{number, name, problem}], outcomes: loader → code → count}
 */
export async function fuzz({
	from = 0,
	cases = Number.POSITIVE_INFINITY,
	goesOn = () => true,
	keep,
	onProblem = () => {},
}) {
	const names = readdirSync(seeds).sort();
	const problems = [];
	const outcomes = {};
	let next = from;
	while (next - from < cases && goesOn()) {
		const last = Math.min(from + cases, next + 2000);
		next = await batch(next, last);
	}
	return { cases: next - from, problems, outcomes };

	function found(problem) {
		problems.push(problem);
		onProblem(problem);
	}

	/** Runs a process over cases; resolves with the number of the case after the last one that began. */
	function batch(first, last) {
		return new Promise((resolve, reject) => {
			const worker = fork(child, [seeds, String(first), String(last)], {
				execArgv: ["--max-old-space-size=1024"],
				env: { ...process.env, ...(keep ? { FUZZ_KEEP: keep } : {}) },
				stdio: ["ignore", "ignore", "pipe", "ipc"],
			});
			let current = first - 1;
			let ended = first - 1;
			let stderr = "";
			let watch;
			const look = () => {
				clearTimeout(watch);
				watch = setTimeout(() => worker.kill("SIGKILL"), HANG_MS);
			};
			look();
			worker.stderr.on("data", (chunk) => {
				stderr = (stderr + chunk).slice(-2000);
			});
			worker.on("message", (message) => {
				if (message.begins !== undefined) {
					current = message.begins;
					look();
				} else if (message.problem) {
					ended = message.number;
					found(message);
				} else {
					ended = message.ended;
					for (const [loader, code] of Object.entries(message.outcomes)) {
						outcomes[loader] ??= {};
						outcomes[loader][code] = (outcomes[loader][code] ?? 0) + 1;
					}
				}
			});
			worker.on("close", (code, signal) => {
				clearTimeout(watch);
				if (current < first) return reject(new Error(`no case could begin: ${stderr}`));
				if (code !== 0 || signal !== null || ended < current)
					found({
						number: current,
						name: names[current % names.length],
						problem: `the process ended with ${signal ?? code}: ${stderr.trim().slice(-600)}`,
					});
				resolve(current + 1);
			});
		});
	}
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { values } = parseArgs({
		options: {
			minutes: { type: "string", default: "10" },
			from: { type: "string", default: "0" },
			cases: { type: "string" },
			keep: { type: "string" },
		},
	});
	const until = performance.now() + Number(values.minutes) * 60_000;
	const { cases, problems, outcomes } = await fuzz({
		from: Number(values.from),
		...(values.cases ? { cases: Number(values.cases) } : {}),
		goesOn: () => performance.now() < until,
		keep: values.keep,
		onProblem: ({ number, name, problem }) => console.log(`case ${number} (${name}): ${problem}`),
	});
	for (const [loader, codes] of Object.entries(outcomes)) console.log(`${loader}: ${JSON.stringify(codes)}`);
	console.log(`${cases} cases, ${problems.length} problems`);
	process.exit(problems.length === 0 ? 0 : 1);
}
