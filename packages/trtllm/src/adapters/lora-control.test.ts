// SPDX-License-Identifier: Apache-2.0
import { DynError, noMetrics, silentLogger } from "@dyn/common";
import type { Engine, LoraAdapter } from "@dyn/engine";
import { createStatusServer, type StatusServer } from "@dyn/runtime";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { loraControl } from "./lora-control.js";
import { WorkerAdapters } from "./worker-adapters.js";

/** An engine's adapters, all of which exist but /gone. */
const loaded = new Map<string, string>();
const lora = {
	async load(name: string, path: string): Promise<LoraAdapter> {
		if (path === "/gone") throw new DynError("NOT_FOUND", "there is no folder /gone");
		if (loaded.has(name) && loaded.get(name) !== path)
			throw new DynError("INVALID_ARGUMENT", `adapter ${name} is loaded from ${loaded.get(name)}`);
		loaded.set(name, path);
		return { name, path };
	},
	async unload(name: string) {
		loaded.delete(name);
	},
	list: () => [...loaded].map(([name, path]) => ({ name, path })),
};
let cards: string[];
let cardsFail = false;
const say = (what: string) => async (name: string) => {
	if (cardsFail) throw new DynError("UNAVAILABLE", "no discovery");
	cards.push(what + name);
};
let ready: boolean;
let server: StatusServer;
let engine: Engine;
beforeAll(async () => {
	const control = loraControl({
		adapters: () =>
			ready ? new WorkerAdapters(engine, "m", { add: say("+"), remove: say("-") }, silentLogger) : null,
		authorize: (authorization) => {
			if (authorization === "Bearer wrong") throw new DynError("UNAUTHENTICATED", "the key is wrong");
		},
	});
	server = await createStatusServer({ port: 0, metrics: noMetrics, endpoints: () => ({}), control });
});
afterAll(() => server.close());
beforeEach(() => {
	loaded.clear();
	cards = [];
	cardsFail = false;
	ready = true;
	engine = { lora } as unknown as Engine;
});

async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
	const response = await fetch(`${server.address}${path}`, {
		method,
		headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
		...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
	});
	return [response.status, (await response.json()) as { status: string; message: string }] as const;
}
const load = (name: string, uri: string) => ask("POST", "/v1/loras", { lora_name: name, source: { uri } });

it("loads from a path or a file URI, lists and unloads, and tells discovery", async () => {
	expect(await load("a", "/one")).toEqual([
		200,
		{ status: "success", message: "LoRA adapter a was loaded", lora_name: "a", lora_id: 1 },
	]);
	expect(await load("b/c d", "file:///two%20words")).toMatchObject([200, { lora_name: "b/c d" }]);
	expect([...loaded]).toEqual([
		["a", "/one"],
		["b/c d", "/two words"],
	]);
	expect(await ask("GET", "/v1/loras")).toMatchObject([200, { status: "success", count: 2 }]);
	expect(await load("a", "/one")).toMatchObject([200, { message: "LoRA adapter a is loaded already" }]);
	expect(await ask("DELETE", "/v1/loras/b%2Fc%20d")).toMatchObject([200, { lora_name: "b/c d" }]);
	expect(await ask("DELETE", "/v1/loras/a?x=1")).toMatchObject([200, { status: "success" }]);
	expect(await ask("GET", "/v1/loras")).toEqual([200, { status: "success", loras: {}, count: 0 }]);
	expect(cards).toEqual(["+a", "+b/c d", "-b/c d", "-a"]);
});

it("says what is wrong, with a status that fits", async () => {
	await load("a", "/one");
	const wrong = [
		[await load("a", "/two"), 400, "is loaded from /one"],
		[await load("m", "/one"), 400, "is the name of the model"],
		[await load("", "/one"), 400, "lora_name must be"],
		[await load("b", "/gone"), 404, "no folder /gone"],
		[await load("b", "s3://bucket/b"), 400, "nothing is downloaded"],
		[await load("b", "relative"), 400, "an absolute path"],
		[await load("b", "file://host/b"), 400, "source.uri names no file"],
		[await ask("POST", "/v1/loras", "null"), 400, "lora_name must be"],
		[await ask("POST", "/v1/loras", "{"), 400, "the body is no JSON"],
		[await ask("POST", "/v1/loras", `"${"x".repeat(70_000)}"`), 400, "larger than 65536 bytes"],
		[
			await ask("POST", "/v1/loras", "{}", { "content-type": "text/plain" }),
			400,
			"content-type: application/json",
		],
		[await ask("DELETE", "/v1/loras/nobody"), 404, 'no adapter named "nobody" is loaded; there are: a'],
		[await ask("DELETE", "/v1/loras/%ff"), 400, "percent-encoded"],
		[await ask("DELETE", "/v1/loras"), 405, "takes GET and POST only"],
		[await ask("GET", "/v1/loras/a"), 405, "takes DELETE only"],
		[await ask("GET", "/v1/loras", undefined, { authorization: "Bearer wrong" }), 401, "the key is wrong"],
	] as const;
	for (const [[status, body], expected, message] of wrong) {
		expect([status, body.message]).toEqual([expected, expect.stringContaining(message)]);
		expect(body.status).toBe("error");
	}
	expect(cards).toEqual(["+a"]);
	ready = false;
	expect(await ask("GET", "/v1/loras")).toMatchObject([
		503,
		{ message: expect.stringContaining("starting") },
	]);
	ready = true;
	engine = {} as Engine;
	expect(await load("b", "/one")).toMatchObject([501, { status: "error" }]);
	expect(await ask("GET", "/health")).toMatchObject([503, { status: "notready" }]);
});

it("keeps nothing loaded that discovery could not be told of", async () => {
	cardsFail = true;
	expect(await load("a", "/one")).toMatchObject([503, { message: "no discovery" }]);
	expect([...loaded]).toEqual([]);
});
