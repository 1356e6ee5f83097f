// SPDX-License-Identifier: Apache-2.0
// Two workers and a frontend, each a process of its own. A worker is killed while it streams: the stream goes on at the other
// one, with the same text. Arguments are passed on to all three, for example:
//   node main.mjs --request-plane http
//   node main.mjs --discovery-backend etcd --request-plane nats --event-plane nats     (etcd and nats-server must run)
// Checks what it gets and exits non-zero when that is wrong.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const cli = join(dirname(createRequire(import.meta.url).resolve("dyn-worker/package.json")), "dist/main.js");
const directory = await mkdtemp(join(tmpdir(), "dyn-fleet-"));
const shared = ["--file-kv", directory, "--log-level", "warn", ...process.argv.slice(2)];

/** Nothing stays behind, however this ends. */
const children = [];
process.on("exit", () => {
	for (const child of children) child.kill("SIGKILL");
});

/** Starts a process of the deployment; resolves when it has said what `ready` matches. */
async function start(args, ready) {
	const child = spawn(process.execPath, [cli, ...args, ...shared], { stdio: ["ignore", "pipe", "inherit"] });
	children.push(child);
	const exited = once(child, "exit");
	let output = "";
	for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
		output += chunk;
		const found = ready.exec(output);
		if (found) return { child, exited, found };
	}
	throw new Error(`${args[0]} ended: ${output}`);
}

const frontend = await start(["frontend", "--http-port", "0"], /frontend at (\S+)/);
const address = frontend.found[1];
const workers = await Promise.all(
	[1, 2].map(() => start(["worker", "--grace-period", "0", "--max-seq-len", "1024"], /is served as/)),
);
console.log(`frontend at ${address}, workers ${workers.map(({ child }) => child.pid).join(" and ")}`);
const instances = async () => (await (await fetch(`${address}/health`)).json()).instances;
while ((await instances()).length < 2) await new Promise((resolve) => setTimeout(resolve, 20));

async function story(onText = () => {}) {
	const response = await fetch(`${address}/v1/chat/completions`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({
			model: "smollm2-135m-instruct",
			messages: [{ role: "user", content: "Tell me a story of a lighthouse." }],
			temperature: 0,
			max_tokens: 150,
			stream: true,
		}),
	});
	let text = "";
	for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
		text += chunk;
		onText(text);
	}
	const events = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json));
	assert.ok(!events.some(({ error }) => error), text);
	return events.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
}

const undisturbed = await story();
// Each worker in turn is the one that the next stream goes to: kill one when the stream is well on its way.
let killed = false;
const disturbed = await Promise.all([
	story((text) => {
		if (killed || text.length < 3000) return;
		killed = true;
		console.log(`killing worker ${workers[0].child.pid}`);
		workers[0].child.kill("SIGKILL");
	}),
	story(),
]);
assert.ok(killed);
assert.deepEqual(disturbed, [undisturbed, undisturbed]);
const metrics = await (await fetch(`${address}/metrics`)).text();
const migrations = [...metrics.matchAll(/^dynamo_frontend_model_migration_total\{.*\} (\d+)$/gm)];
const moved = migrations.reduce((sum, [, count]) => sum + Number(count), 0);
console.log(`${undisturbed.length} characters, the same in all three; streams that moved: ${moved}`);
assert.ok(moved >= 1);

frontend.child.kill("SIGTERM");
workers[1].child.kill("SIGTERM");
for (const { exited } of [frontend, workers[1]]) assert.deepEqual(await exited, [0, null]);
await rm(directory, { recursive: true, force: true });
