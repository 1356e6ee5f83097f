// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aborted, delta, end, ServedModel, signalled } from "./__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create();
});
afterEach(() => served.close());

describe("connections", () => {
	it("that go away cancel the engine, before and after the first byte", async () => {
		const metrics = createPrometheusMetrics();
		await served.start({ metrics });
		for (const early of [true, false]) {
			const [began, ended] = [signalled(), signalled()];
			served.answer = async function* (_request, { signal }) {
				if (!early) yield delta("x");
				began.reach();
				await aborted(signal);
				ended.reach();
			};
			const connection = served.connect().post("/v1/completions", { model: "m", prompt: "x", stream: true });
			await began.reached;
			connection.socket.destroy();
			await ended.reached;
		}
		await served.frontend.drain();
		expect(await metrics.expose()).toContain(
			'dynamo_frontend_requests_total{model="m",endpoint="completions",request_type="stream",status="error",error_type="cancelled"} 2',
		);
	});

	it("are kept alive by comments while headers or tokens are late", async () => {
		await served.start({ limits: { headerHoldMs: 5, keepAliveMs: 5 } });
		let proceed!: () => void;
		served.answer = async function* () {
			await new Promise<void>((resolve) => {
				proceed = resolve;
			});
			yield end();
		};
		const response = await served.chat({ stream: true });
		const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
		let text = "";
		while (text.split(": ka\n\n").length < 3) text += (await reader.read()).value;
		proceed();
		for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
	});

	it("need a key when keys are set, on /v1 alone", async () => {
		await served.start({ apiKeys: ["right", "other"] });
		expect((await served.chat()).status).toBe(401);
		expect((await served.chat({}, { authorization: "Bearer wrong" })).status).toBe(401);
		expect((await served.chat({}, { authorization: "Bearer other" })).status).toBe(200);
		expect((await fetch(`${served.address}/health`)).status).toBe(200);
	});
});

describe("drain", () => {
	it("refuses what is new, finishes what is admitted, then stops listening", async () => {
		await served.start();
		let proceed!: () => void;
		served.answer = async function* () {
			yield delta("a");
			await new Promise<void>((resolve) => {
				proceed = resolve;
			});
			yield delta("b");
			yield end();
		};
		const running = await served.chat({ stream: true });
		const draining = served.frontend.drain();
		expect((await fetch(`${served.address}/health`)).status).toBe(503);
		const refused = await served.chat();
		expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
		proceed();
		expect((await running.text()).endsWith("data: [DONE]\n\n")).toBe(true);
		const { address } = served;
		await draining;
		await expect(fetch(`${address}/health`)).rejects.toThrow();
	});
});

describe("static files and information", () => {
	it("serve the page and nothing beside it", async () => {
		const pages = mkdtempSync(join(tmpdir(), "dyn-pages-"));
		writeFileSync(join(pages, "index.html"), "<p>hi</p>");
		writeFileSync(join(pages, ".secret.html"), "no");
		await served.start({ staticDirectory: pages });
		const page = await fetch(`${served.address}/`);
		expect(await page.text()).toBe("<p>hi</p>");
		expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
		expect(
			(await fetch(`${served.address}/`, { headers: { "if-none-match": page.headers.get("etag")! } })).status,
		).toBe(304);
		for (const path of [
			"/.secret.html",
			"/..%2f..%2fetc%2fpasswd",
			"/index.html/../.secret.html",
			"/sub/index.html",
		]) {
			expect((await fetch(served.address + path)).status, path).toBe(404);
		}
		rmSync(pages, { recursive: true });
	});

	it("name the instances that compute prompts, which serve nobody alone", async () => {
		const prefill = await served.addInstance({ workerType: "prefill" }, null, "a.prefill.c");
		await served.start();
		const health = async () =>
			(await (await fetch(`${served.address}/health`)).json()) as {
				endpoints: string[];
				instances: { instance_id: number; component: string }[];
			};
		expect(await health()).toMatchObject({ endpoints: ["dyn://a.b.c", "dyn://a.prefill.c"] });
		expect((await health()).instances.map(({ component }) => component)).toEqual(["b", "prefill"]);
		await prefill.withdraw();
		while ((await health()).instances.length > 1) await new Promise(setImmediate);
		expect(await health()).toMatchObject({ endpoints: ["dyn://a.b.c"] });
	});

	it("list models and health, and forget a model whose worker is gone", async () => {
		const withdraw = await served.publish({ name: "gone" });
		await served.start();
		await withdraw();
		while ((await served.chat({ model: "gone" })).status === 200) await new Promise(setImmediate);
		expect(await (await fetch(`${served.address}/v1/models`)).json()).toMatchObject({
			object: "list",
			data: [{ id: "m", object: "model", created: 7, context_window: 100 }],
		});
		expect((await fetch(`${served.address}/v1/models/m`)).status).toBe(200);
		expect((await fetch(`${served.address}/v1/models/x`)).status).toBe(404);
		expect(await (await fetch(`${served.address}/health`)).json()).toMatchObject({
			status: "healthy",
			endpoints: ["dyn://a.b.c"],
		});
		expect(await (await fetch(`${served.address}/live`)).json()).toEqual({
			status: "live",
			message: "Service is live",
		});
	});
});
