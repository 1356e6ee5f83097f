// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FakeHub, sha256, stallAfter } from "../src/store/__fixtures__/fake-hub.js";

const WEIGHTS = "model.safetensors";
const weights = Buffer.from(Array.from({ length: 2_000_000 }, (_, i) => (i * 7) % 251));

let directory: string;
let hub: FakeHub;
let children: ChildProcess[];
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "dyn-pulls-"));
	hub = await new FakeHub().start();
	hub.files.set("config.json", Buffer.from("{}"));
	hub.files.set(WEIGHTS, weights);
	hub.checksums.set(WEIGHTS, sha256(weights));
	children = [];
});
afterEach(async () => {
	for (const child of children) child.kill("SIGKILL");
	await hub.close();
	await rm(directory, { recursive: true });
});

/** A process that pulls the model with the built package and prints "waiting", "received N" and in the end its path. */
function startPull() {
	const program = `
		import { createModelStore } from "@dyn/models/store";
		const store = createModelStore({
			directory: ${JSON.stringify(directory)},
			huggingFaceHome: ${JSON.stringify(join(directory, "hf"))},
			huggingFaceEndpoint: ${JSON.stringify(hub.endpoint)},
			logger: { info: () => console.log("waiting") },
			onProgress: ({ phase, file, receivedBytes }) =>
				phase === "download" && file === "${WEIGHTS}" && console.log("received " + receivedBytes),
		});
		console.log("path " + (await store.resolve("org/name", { pull: true })).path);`;
	const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
		cwd: import.meta.dirname,
		stdio: ["ignore", "pipe", "inherit"],
	});
	children.push(child);
	let output = "";
	const said = async (pattern: RegExp): Promise<string> => {
		for (;;) {
			const match = pattern.exec(output);
			if (match) return match[1] ?? match[0];
			if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode} after saying: ${output}`);
			await once(child.stdout, "data");
		}
	};
	child.stdout.on("data", (chunk) => {
		output += chunk;
	});
	return { child, said };
}
const weightRequests = () => hub.requests.filter((line) => line.startsWith(WEIGHTS));

it("two processes that pull one model download it once, and both have it", async () => {
	hub.misbehaviours.set(WEIGHTS, [stallAfter(1000)]);
	const first = startPull();
	await first.said(/received 1000\n/); // and holds the lock until the connection drops
	const second = startPull();
	await second.said(/waiting/);
	hub.drop();
	const paths = await Promise.all([first.said(/path (.*)\n/), second.said(/path (.*)\n/)]);
	expect(paths[0]).toBe(paths[1]);
	expect(readFileSync(join(paths[0]!, WEIGHTS)).equals(weights)).toBe(true);
	expect(weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`]);
	expect(await readdir(directory)).toEqual(["org%2Fname"]);
});

it("a process that waits goes on where the other was killed", async () => {
	hub.misbehaviours.set(WEIGHTS, [stallAfter(1000)]);
	const first = startPull();
	await first.said(/received 1000\n/);
	const second = startPull();
	await second.said(/waiting/);
	first.child.kill("SIGKILL");
	const path = await second.said(/path (.*)\n/);
	expect(readFileSync(join(path, WEIGHTS)).equals(weights)).toBe(true);
	expect(weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`]);
	expect(await readdir(directory)).toEqual(["org%2Fname"]);
});
