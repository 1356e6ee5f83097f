// SPDX-License-Identifier: Apache-2.0
// Runs the stories beside this file on this machine, with a double of TensorRT-LLM in the place of its engines, and checks
// what they do: registration, answers, streams, roles, and how they end. The settings for real GPUs go through the same
// checks as before a real start. Exits non-zero when something is wrong.
//   node main.mjs                          all of them
//   node main.mjs disagg agg-router        some
//   node main.mjs --engine embedded agg    with the engine of this package, which really computes
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { checkConfiguration } from "./lib/check-configuration.mjs";
import { checkRefusals } from "./lib/check-refusals.mjs";
import { checkAttached, checkStory } from "./lib/check-story.mjs";

const here = new URL(".", import.meta.url);
const all = readdirSync(here, { withFileTypes: true })
	.filter((entry) => entry.isDirectory() && entry.name !== "lib" && entry.name !== "node_modules")
	.map(({ name }) => name);
const words = process.argv.slice(2);
const engine = words[0] === "--engine" ? words.splice(0, 2)[1] : "double";
/** How stories end here; the others by Ctrl-C. */
const ENDINGS = {
	"agg-router": "a killed worker",
	"disagg-router": "a killed worker",
	"attention-dp": "a killed worker",
	"wide-ep": "two Ctrl-C",
	gb200: "two Ctrl-C",
};
const unknown = words.filter((word) => !all.includes(word));
assert.deepEqual(unknown, [], `no such story; there are ${all.join(", ")}`);

for (const name of words.length > 0 ? words : all) {
	const began = performance.now();
	const file = new URL(`${name}/run.mjs`, here);
	const { story } = await import(file);
	assert.equal(story.name, name);
	await checkConfiguration(story);
	if (name === "agg" && engine === "double") await checkRefusals(story, fileURLToPath(file), engine);
	const check = story.attaches ? checkAttached : checkStory;
	const seen = await check(story, fileURLToPath(file), engine, ENDINGS[name] ?? "Ctrl-C");
	console.log(`ok  ${name} (${((performance.now() - began) / 1000).toFixed(1)} s): ${seen}`);
	if (name !== "disagg" || engine !== "double") continue;
	// Here real KV blocks go from one process to another.
	console.log(`ok  ${name}, embedded: ${await checkStory(story, fileURLToPath(file), "embedded", "Ctrl-C")}`);
}
