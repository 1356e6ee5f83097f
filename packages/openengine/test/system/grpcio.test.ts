// SPDX-License-Identifier: Apache-2.0
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { DynError } from "@dyn/common";
import { createOpenEngineClient, createOpenEngineServer, type OpenEngineService } from "@dyn/openengine";
import { describe, expect, it } from "vitest";
// @boundaries-ignore started from here only, by scripts that .ci/run uses too; install: node scripts/peers/install-grpcio.mjs
import { GRPCIO_FOLDER } from "../../../../scripts/peers/grpcio-folder.mjs";
// @boundaries-ignore as above
import { pythonOf } from "../../../../scripts/peers/virtual-environment.mjs";
import { loadSchema, sampleOf, variantsOf } from "../../src/__fixtures__/sample-messages.js";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const python = pythonOf(GRPCIO_FOLDER);
const goldenPath = path("../../src/__fixtures__/golden-messages.json");
const peer = (action: string, ...rest: string[]) => [
	path("grpcio_peer.py"),
	action,
	path("../../proto"),
	goldenPath,
	...rest,
];
const missing = existsSync(python) ? null : "no Python gRPC: node scripts/peers/install-grpcio.mjs";
if (missing) console.log(`skipped: ${missing}`);

const schema = new Map(loadSchema().map((type) => [type.name, type]));
const samples = (name: string) => {
	const type = schema.get(name)!;
	return Array.from({ length: variantsOf(type) }, (_, variant) => sampleOf(type, variant) as never);
};
const UNARY = {
	getServerInfo: ["GetServerInfoRequest", "ServerInfo"],
	getModelInfo: ["GetModelInfoRequest", "ModelInfo"],
	getLoad: ["GetLoadRequest", "LoadInfo"],
	health: ["HealthRequest", "HealthResponse"],
	abort: ["AbortRequest", "AbortResponse"],
	loadLora: ["LoadLoraRequest", "LoadLoraResponse"],
	unloadLora: ["UnloadLoraRequest", "UnloadLoraResponse"],
	listLoras: ["ListLorasRequest", "ListLorasResponse"],
	getKvEventSources: ["GetKvEventSourcesRequest", "GetKvEventSourcesResponse"],
} as const;
const STREAMS = {
	generate: ["GenerateRequest", "GenerateResponse"],
	subscribeKvEvents: ["SubscribeKvEventsRequest", "SubscribeKvEventsResponse"],
} as const;

describe.skipIf(missing)("OpenEngine against Python's gRPC and protobuf", { timeout: 60_000 }, () => {
	it("encodes every message, with every field and with none, as protobuf does", async () => {
		const { stdout } = await promisify(execFile)(python, peer("verify"));
		expect(stdout).toBe(
			`verified ${JSON.parse(readFileSync(goldenPath, "utf8")).length} messages of ${schema.size} types\n`,
		);
	});

	it("our server understands its client, and the other way round", async () => {
		const strange: unknown[] = [];
		const note = (name: string, request: unknown) => {
			const known = samples(name).some((sample) => matches(request, sample));
			if (!known && !isEmpty(request)) strange.push([name, request]);
		};
		const unary = Object.entries(UNARY).map(([rpc, [request, response]]) => [
			rpc,
			async (message: unknown) => {
				note(request, message);
				return samples(response)[0];
			},
		]);
		const streams = Object.entries(STREAMS).map(([rpc, [request, response]]) => [
			rpc,
			async function* (message: unknown) {
				note(request, message);
				yield* samples(response);
			},
		]);
		const service = Object.fromEntries([...unary, ...streams]) as OpenEngineService;
		await using server = await createOpenEngineServer({ service });
		const { stdout } = await promisify(execFile)(python, peer("client", server.address));
		const requests = [...Object.values(UNARY), ...Object.values(STREAMS)].map(
			([name]) => samples(name).length + 1,
		);
		expect(stdout).toBe(`made ${requests.reduce((a, b) => a + b)} calls\n`);
		expect(strange).toEqual([]);
	});

	it("our client understands its server, and the other way round", async () => {
		const child = spawn(python, peer("server"), { stdio: ["pipe", "pipe", "inherit"] });
		try {
			const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
			const client = await createOpenEngineClient({ endpoint: line.replace("ADDRESS ", ""), connections: 2 });
			for (const [rpc, [request, response]] of Object.entries(UNARY))
				for (const message of [...samples(request), {} as never]) {
					const answer = await client[rpc as keyof typeof UNARY](message);
					expect(answer, rpc).toEqual(samples(response)[0]);
				}
			for (const [rpc, [request, response]] of Object.entries(STREAMS))
				for (const message of [...samples(request), {} as never]) {
					const responses: unknown[] = [];
					for await (const each of client[rpc as keyof typeof STREAMS](message)) responses.push(each);
					expect(responses, rpc).toEqual(samples(response));
				}
			await expect(client.getModelInfo({ model: "unheard of" })).rejects.toSatisfy((error) =>
				DynError.is(error, "INVALID_ARGUMENT"),
			);
			client.close();
		} finally {
			child.stdin.end();
			await once(child, "exit");
		}
	});
});

/** Equal where absent and undefined are the same. */
function matches(value: unknown, sample: unknown): boolean {
	try {
		expect(value).toEqual(sample);
		return true;
	} catch {
		return false;
	}
}

/** Whether it is a message without fields. */
function isEmpty(message: unknown): boolean {
	return Object.values(message as object).every(
		(value) => !value || (Array.isArray(value) && value.length === 0),
	);
}
