// SPDX-License-Identifier: Apache-2.0
// `npm start` as a new user: a fresh clone of HEAD, an empty home folder. Waits for the address, streams an answer, stops
// it, starts again, which must find everything done, and prints how long both took.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "dyn-start-"));
const clone = join(work, "dyn");
const home = join(work, "home");
execFileSync("git", ["clone", "--quiet", root, clone]);

/** Runs `npm start` until it answered one request; resolves with the time to the address, ms, and what it printed of steps. */
async function start() {
	const began = performance.now();
	const child = spawn("npm", ["start", "--", "--http-port", "0"], {
		cwd: clone,
		env: { ...process.env, HOME: home, NO_COLOR: "1" },
		stdio: ["ignore", "pipe", "pipe"],
	});
	let steps = "";
	child.stderr.on("data", (chunk) => {
		steps += chunk;
		process.stderr.write(chunk);
	});
	const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
	const address = await new Promise((resolve, reject) => {
		let output = "";
		child.stdout.on("data", (chunk) => {
			output += chunk;
			const found = /served at (http:\/\/\S+)/.exec(output);
			if (found) resolve(found[1]);
		});
		ended.then((code) => reject(new Error(`npm start ended with ${code}\n${output}`)));
	});
	const ms = performance.now() - began;
	const response = await fetch(`${address}/v1/chat/completions`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({
			model: "smollm2-135m-instruct",
			messages: [{ role: "user", content: "What is the capital of France?" }],
			temperature: 0,
			stream: true,
		}),
	});
	const text = await response.text();
	if (!text.includes("Paris") || !text.endsWith("data: [DONE]\n\n"))
		throw new Error(`not a sensible answer: ${text}`);
	child.kill("SIGTERM");
	// npm passes the signal on, waits, then ends by it itself or with the server's own 0.
	const end = await ended;
	if (end !== 0 && end !== "SIGTERM") throw new Error(`npm start ended with ${end} after SIGTERM`);
	const goesOn = await fetch(`${address}/live`).then(
		() => true,
		() => false,
	);
	if (goesOn) throw new Error(`the server at ${address} outlived npm start`);
	return { ms, steps };
}

try {
	const first = await start();
	const second = await start();
	console.log(
		`first start ready after ${(first.ms / 1000).toFixed(1)} s, second after ${(second.ms / 1000).toFixed(2)} s`,
	);
	const step = /installing|building|download|unpack|verify/;
	if (!step.test(first.steps)) throw new Error("the first start did not say what it did");
	if (second.ms >= 3000) throw new Error("the second start took 3 s and more");
	if (step.test(second.steps)) throw new Error(`the second start did something again:\n${second.steps}`);
} finally {
	rmSync(work, { recursive: true, force: true });
}
