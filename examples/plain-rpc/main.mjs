// SPDX-License-Identifier: Apache-2.0
// The runtime alone, as an RPC library without a model in sight: a service in another process, found through files, called
// over TCP, answering with a stream that the caller may leave. Checks what it gets and exits non-zero when that is wrong.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import { createRuntime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";

const directory = process.argv[2] ?? (await mkdtemp(join(tmpdir(), "dyn-plain-rpc-")));
const discovery = createFileStore({ directory });
const runtime = await createRuntime({ discovery, requestPlanes: [createTcpPlane()] });
const endpoint = runtime.endpoint("demo.clock.count");

if (process.argv[2]) await serve();
else await call();

async function serve() {
	await endpoint.serve(async function* ({ to }, { signal }) {
		for (let i = 1; i <= to && !signal.aborted; i++) yield { i, from: process.pid };
	});
	process.send("serving");
	await once(process, "disconnect"); // the caller has ended
	await close();
}

async function call() {
	const service = fork(process.argv[1], [directory]);
	await once(service, "message");
	const client = endpoint.client();
	const found = new Promise((resolve) => {
		const look = setInterval(() => {
			if (client.instances().length === 0) return;
			clearInterval(look);
			resolve();
		}, 10);
	});
	await found;

	const items = [];
	for await (const item of client.generate({ to: 3 }, createRequestContext())) items.push(item);
	console.log(items);
	assert.deepEqual(
		items,
		[1, 2, 3].map((i) => ({ i, from: service.pid })),
	);

	// Leaving the loop cancels the call at the other side.
	for await (const { i } of client.generate({ to: 1e9 }, createRequestContext())) if (i === 10) break;

	service.disconnect();
	await once(service, "exit");
	await close();
	await rm(directory, { recursive: true, force: true });
}

async function close() {
	await runtime.close();
	await discovery.close();
}
