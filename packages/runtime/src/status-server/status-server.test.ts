// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext, noMetrics } from "@dyn/common";
import { afterAll, beforeAll, expect, it } from "vitest";
import { collect } from "../__fixtures__/streams.js";
import { createRuntime } from "../create-runtime.js";
import { createPrometheusMetrics } from "../prometheus.js";
import { createStatusServer, type StatusServer } from "./status-server.js";

let folder: string;
let server: StatusServer;
const files = new Map<string, string>();
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-status-"));
	await writeFile(join(folder, "config.json"), '{"a":1}');
	await writeFile(join(folder, "secret"), "secret");
	server = await createStatusServer({ port: 0, metrics: noMetrics, endpoints: () => ({}), files });
	files.set("/v1/metadata/config.json", join(folder, "config.json"));
	files.set("/v1/metadata/gone.json", join(folder, "gone.json"));
});
afterAll(async () => {
	await server.close();
	await rm(folder, { recursive: true });
});

/** Sends a path as it stands; `fetch` would tidy it. */
function get(
	path: string,
	method = "GET",
): Promise<{ status: number; length: string | undefined; body: string }> {
	return new Promise((resolve, reject) => {
		request(server.address, { path, method }, (response) => {
			let body = "";
			response.setEncoding("utf8").on("data", (part) => {
				body += part;
			});
			response.on("end", () =>
				resolve({ status: response.statusCode!, length: response.headers["content-length"], body }),
			);
		})
			.on("error", reject)
			.end();
	});
}

it("serves the files of its map, with their length", async () => {
	expect(await get("/v1/metadata/config.json")).toEqual({ status: 200, length: "7", body: '{"a":1}' });
	expect(await get("/v1/metadata/config.json?x", "HEAD")).toEqual({ status: 200, length: "7", body: "" });
	expect(await get("/v1/metadata/config.json", "POST")).toMatchObject({ status: 405 });
});

it.each([
	"/v1/metadata/secret",
	"/v1/metadata/../metadata/config.json",
	"/v1/metadata/%2e%2e/secret",
	"/v1/metadata/config.json/",
	"/v1/metadata//config.json",
	"/v1/metadata/",
])("serves nothing else: %s", async (path) => {
	expect(await get(path)).toMatchObject({ status: 404 });
});

it("says when a file cannot be read, and goes on", async () => {
	expect(await get("/v1/metadata/gone.json")).toMatchObject({
		status: 500,
		body: '{"message":"/v1/metadata/gone.json cannot be read"}',
	});
	expect(await get("/v1/metadata/config.json")).toMatchObject({ status: 200 });
});

it("survives a client that leaves in the middle of a file", async () => {
	const large = join(folder, "large");
	await writeFile(large, Buffer.alloc(16 << 20));
	files.set("/large", large);
	await new Promise<void>((resolve, reject) => {
		const sent = request(`${server.address}/large`, (response) => {
			response.once("data", () => response.destroy());
			response.once("close", resolve);
		});
		sent.on("error", reject).end();
	});
	expect(await get("/large", "HEAD")).toMatchObject({ status: 200, length: String(16 << 20) });
});

it("is ready when every endpoint is, and exposes metrics", async () => {
	const metrics = createPrometheusMetrics();
	let now = 1000;
	const clock = { monotonicMs: () => now, wallMs: () => 0 };
	const observed = await createRuntime({ metrics, clock });
	await observed.endpoint("a.b.c").serve(async function* () {
		now += 2000;
		yield 1;
	});
	await collect(observed.endpoint("a.b.c").client().generate(1, createRequestContext()));
	const states = { "dyn://a.b.c": false };
	const server = await createStatusServer({ port: 0, metrics, endpoints: () => states });
	const health = async () => {
		const response = await fetch(`${server.address}/health`);
		return [response.status, await response.json()];
	};
	expect(await health()).toMatchObject([
		503,
		{ status: "notready", endpoints: { "dyn://a.b.c": "notready" } },
	]);
	states["dyn://a.b.c"] = true;
	expect(await health()).toMatchObject([200, { status: "ready", uptime: { secs: 0 } }]);
	const text = await (await fetch(`${server.address}/metrics`)).text();
	expect(text).toMatch(
		/^dynamo_component_requests_total\{dynamo_namespace="a",dynamo_component="b",dynamo_endpoint="c",worker_id="[0-9a-f]+"\} 1$/m,
	);
	expect(text).toContain("dynamo_component_inflight_requests{");
	expect(text).toMatch(/^dynamo_component_request_duration_seconds_sum\{.*\} 2$/m);
	expect(text).toMatch(/^dynamo_component_uptime_seconds\{worker_id="[0-9a-f]+"\} 2$/m);
	expect((await fetch(`${server.address}/nowhere`)).status).toBe(404);
	const posted = await fetch(`${server.address}/health`, { method: "POST" });
	expect([posted.status, posted.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
	const port = Number(new URL(server.address).port);
	await expect(createStatusServer({ port, metrics, endpoints: () => states })).rejects.toThrow(
		`port ${port} is in use`,
	);
	await expect(
		createStatusServer({ host: "192.0.2.1", port: 0, metrics, endpoints: () => states }),
	).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
	await server.close();
	await observed.close();
});
