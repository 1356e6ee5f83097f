// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noMetrics } from "@dyn/common";
import { afterAll, beforeAll, expect, it } from "vitest";
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
