// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createRuntime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { expect, it } from "vitest";
import { eventually } from "../../server-process.js";
import { Clients } from "./clients.js";
import { Deployment, instancesOf, untilInstances } from "./deployment.js";
import { paced, streamOnce } from "./streams.js";

/** Every key under a prefix. */
async function entries(folder: string, prefix: string): Promise<[string, string][]> {
	const store = createFileStore({ directory: folder });
	const found: [string, string][] = [];
	for await (const event of store.watch(prefix, new AbortController().signal)) {
		if (event.type === "put") found.push([event.key, event.value]);
		else if (event.type === "synced") break;
	}
	await store.close();
	return found;
}

/** A record as a later version may write it: with fields of which nobody here knows. */
function fromTheFuture(record: string): string {
	const { transport, card_json, ...rest } = JSON.parse(
		record.replace(/"instance_id":(\d+)/, '"instance_id":"$1"'),
	);
	const text = JSON.stringify({
		schema: { major: 9, features: ["teleport"] },
		...rest,
		...(transport ? { transport: { ...transport, quic: "127.0.0.1:1/x" } } : {}),
		...(card_json ? { card_json: { ...card_json, future: [{ deep: null }], weights_digest: "x" } } : {}),
		dyn: { ...rest.dyn, compression: "zstd" },
	});
	return text.replace(/"instance_id":"(\d+)"/, '"instance_id":$1');
}

it("serves through workers whose records have fields from the future, beside others and records of no use", async () => {
	await using deployment = new Deployment();
	await using elsewhere = new Deployment();
	const frontend = await deployment.frontend();
	await Promise.all([deployment.light(), elsewhere.light()]);
	const store = createFileStore({ directory: deployment.folder });
	const lease = await store.lease();
	for (const prefix of ["v1/instances/", "v1/mdc/"])
		for (const [key, value] of await entries(elsewhere.folder, prefix))
			await store.put(key, fromTheFuture(value), lease);
	// One that cannot be read is nobody's problem but its own.
	await store.put(
		"v1/instances/dynamo/backend/generate/dead",
		'{"type":"Endpoint","transport":{"quic":"?"}}',
		lease,
	);
	await untilInstances(frontend, 2);

	const ends = await Promise.all(
		Array.from({ length: 10 }, () => streamOnce(frontend, paced("Count", 20, 5))),
	);
	expect(ends.filter(({ error }) => error !== null)).toEqual([]);
	expect(new Set(ends.map(({ text }) => text)).size).toBe(1);
	for (const { output } of [...deployment.processes, ...elsewhere.processes].filter(
		({ address }) => !address,
	))
		expect(output).toContain("begin ");
	expect((await instancesOf(frontend)).length).toBe(2);
	await store.close();
});

it("ignores fields of requests that it does not know, between processes", async () => {
	await using deployment = new Deployment();
	await deployment.light();
	const runtime = await createRuntime({
		discovery: createFileStore({ directory: deployment.folder }),
		requestPlanes: [createTcpPlane()],
	});
	const client = runtime.endpoint("dynamo.backend.generate").client();
	const request = {
		model: "light",
		token_ids: [1, 2, 3],
		stop_conditions: { max_tokens: 3, until_bored: true },
		sampling_options: { mood: "good" },
		output_options: { hologram: 1 },
		eos_token_ids: [],
		annotations: ["from:the future"],
		teleport: { to: [1, { deep: null }] },
	};
	const tokens: unknown[] = [];
	for await (const item of client.generate(request, createRequestContext()))
		tokens.push(...(item as { readonly token_ids: readonly number[] }).token_ids);
	expect(tokens).toEqual([304, 305, 306]);
	await runtime.close();
});

it("rolls from the previous version over this one to the next and back under load, without an error", async () => {
	await using deployment = new Deployment();
	const preload = new URL("./next-version.mjs", import.meta.url).href;
	const [current, next, ...first] = await Promise.all([
		deployment.frontend(),
		deployment.frontend([], { env: { NODE_OPTIONS: `--import=${preload}` } }),
		deployment.light({ version: "previous" }),
		deployment.light({ version: "previous" }),
	]);
	await Promise.all([untilInstances(current, 2), untilInstances(next, 2)]);
	const undisturbed = (await streamOnce(current, paced("Count", 40, 0))).text;
	const clients = new Clients(
		[...new Array(8).fill(current), ...new Array(8).fill(next)],
		paced("Count", 40, 10),
	);
	const { ends } = clients;
	const running = [...first];
	for (const version of [undefined, "next", "next", undefined, "previous"] as const) {
		const come = await deployment.light(version ? { version } : {});
		await eventually("it has requests", async () => come.output.includes("begin "));
		const before = ends.length;
		await eventually("everybody has answered since", async () => ends.length > before + 50);
		if (version === "next") expect(come.output).toContain("speaks as the next version");
		const gone = running.shift()!;
		gone.kill("SIGKILL"); // harsher than an upgrade
		await gone.exited;
		running.push(come);
	}
	await clients.stop();
	console.log(`F22 ${ends.length} requests while versions changed five times`);
	expect(next.output).toContain("speaks as the next version");
	for (const { error, text } of ends) {
		expect(error).toBe(null);
		expect(text).toBe(undisturbed);
	}
});
