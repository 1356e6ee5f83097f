// SPDX-License-Identifier: Apache-2.0
// Runs cases one by one and tells the parent of each before it begins, so that a crash or a hang has a number.
//   fork: fuzz-child.mjs SEEDS FIRST LAST
import {
	cpSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "../../packages/models/dist/index.js";
import { encodeGguf } from "../../packages/models/dist/testing/index.js";
import { loadEverything } from "./load-everything.mjs";
import { seededRandom } from "./mutate.mjs";
import { mutateFile } from "./mutate-file.mjs";

/** A template that takes nearly as many steps as one may: what nothing else may take much longer than. */
const COSTLIEST_TEMPLATE = "{% for x in range(99999) %}{{ x }}{% endfor %}";
/** Memory that a case may take: no seed is larger than 100 kB. */
const MOST_BYTES = 256 * 2 ** 20;

const [seeds, first, last] = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), "dyn-fuzz-"));
const cache = join(work, "cache");
const names = readdirSync(seeds).sort();
for (const name of names) cpSync(join(seeds, name), join(work, name), { recursive: true });

const descriptions = new Map();
for (const name of names)
	for (const file of readdirSync(join(seeds, name)).filter((each) => each.endsWith(".gguf"))) {
		const path = join(seeds, name, file);
		descriptions.set(readFileSync(path).toString("latin1"), await openCheckpoint(path).catch(() => null));
	}
const gguf = {
	decode(bytes) {
		const { metadata, tensors } = descriptions.get(bytes.toString("latin1"));
		return {
			metadata: structuredClone(Object.fromEntries(metadata)),
			tensors: [...tensors.values()].map(({ name, type, shape, offset, byteLength }) => ({
				name,
				type,
				shape: [...shape],
				bytes: bytes.subarray(offset, offset + byteLength).toString("latin1"),
			})),
		};
	},
	encode: ({ metadata, tensors }) =>
		encodeGguf(
			metadata,
			tensors.map((tensor) => ({ ...tensor, bytes: Buffer.from(tensor.bytes, "latin1") })),
		),
};

const costliest = join(work, "costliest");
cpSync(join(seeds, "folder-sharded"), costliest, { recursive: true });
writeFileSync(join(costliest, "chat_template.jinja"), COSTLIEST_TEMPLATE);
/** CPU time that a case may take, s: a slow machine needs longer for the same steps. */
const mostSeconds = Math.max(1, 2 * (await timed(costliest, cache)).cpu);

for (let number = Number(first); number < Number(last); number++) {
	process.send({ begins: number });
	const name = names[number % names.length];
	// The first round is the seeds as they are.
	const change = number < names.length ? null : changeOf(name, seededRandom(number));
	const before = process.memoryUsage.rss();
	let problem = null;
	let seconds = 0;
	try {
		const { outcomes, cpu } = await timed(join(work, name), cache);
		// A machine that stands still for a moment is slow once, a bad reader is slow again.
		seconds = cpu > mostSeconds ? (await timed(join(work, name), join(work, `cache-${number}`))).cpu : cpu;
		process.send({ ended: number, name, outcomes });
	} catch (error) {
		problem = error.message;
	}
	const grown = Math.max(process.memoryUsage.rss(), process.resourceUsage().maxRSS * 1024) - before;
	if (problem === null && seconds > mostSeconds) problem = `took ${seconds.toFixed(1)} s of CPU time`;
	if (problem === null && grown > MOST_BYTES) problem = `took ${Math.round(grown / 2 ** 20)} MiB`;
	if (problem !== null)
		process.send({ problem, number, name, keep: process.env.FUZZ_KEEP && keep(name, number) });
	change?.undo();
}
rmSync(work, { recursive: true, force: true });
process.disconnect();

async function timed(path, cache) {
	const began = process.cpuUsage();
	const outcomes = await loadEverything(path, cache);
	const { user, system } = process.cpuUsage(began);
	return { outcomes, cpu: (user + system) / 1e6 };
}

/** Puts something else in the place of one file. */
function changeOf(name, random) {
	const files = readdirSync(join(seeds, name)).sort();
	const file = files[Math.floor(random() * files.length)];
	const path = join(work, name, file);
	const original = readFileSync(join(seeds, name, file));
	const odd = random();
	rmSync(path, { recursive: true, force: true });
	if (odd < 0.002) mkdirSync(path);
	else if (odd < 0.004) symlinkSync(path, path);
	else if (odd < 0.006) writeFileSync(path, "");
	else if (odd >= 0.008) writeFileSync(path, mutateFile(file, original, random, gguf));
	return {
		undo() {
			rmSync(path, { recursive: true, force: true });
			writeFileSync(path, original);
		},
	};
}

function keep(name, number) {
	const folder = join(process.env.FUZZ_KEEP, `${name}-${number}`);
	cpSync(join(work, name), folder, { recursive: true, verbatimSymlinks: true });
	return folder;
}
