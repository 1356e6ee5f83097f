// SPDX-License-Identifier: Apache-2.0
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aborted, delta, end, eventsOf, ServedModel, signalled } from "../__fixtures__/served-model.js";

const streamed = { model: "m", prompt: "hi", stream: true };

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create();
});
afterEach(() => served.close());

describe("a connection that goes away", () => {
	it.each([
		[
			"while its body is sent",
			"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
		],
		["inside the headers", "POST /v1/completions HTTP/1.1\r\nho"],
	])("%s leaves nothing behind", async (_when, bytes) => {
		await served.start();
		const connection = served.connect();
		await new Promise<void>((resolve) => connection.socket.write(bytes, () => resolve()));
		connection.socket.destroy();
		await served.frontend.drain();
		expect(served.seen).toHaveLength(0);
	});

	it("cancels every request that was pipelined on it", async () => {
		const metrics = createPrometheusMetrics();
		await served.start({ metrics });
		const began = [signalled(), signalled()];
		const ended = [signalled(), signalled()];
		let calls = 0;
		served.answer = async function* (_request, { signal }) {
			const call = calls++;
			yield delta("x");
			began[call]!.reach();
			await aborted(signal);
			ended[call]!.reach();
		};
		const connection = served.connect().post("/v1/completions", streamed).post("/v1/completions", streamed);
		await Promise.all(began.map(({ reached }) => reached));
		connection.socket.destroy();
		await Promise.all(ended.map(({ reached }) => reached));
		await served.frontend.drain();
		expect(await metrics.expose()).toContain('error_type="cancelled"} 2');
	});
});

describe("one connection", () => {
	it("answers pipelined requests in order", async () => {
		await served.start();
		served.answer = async function* ({ tokenIds }) {
			yield delta(`<${String.fromCharCode(tokenIds[0]!)}>`);
			yield end();
		};
		const connection = served.connect();
		for (const prompt of ["a", "b", "c"]) connection.post("/v1/completions", { ...streamed, prompt });
		await connection.until("[DONE]", 3);
		expect(eventsOf(connection.text).map(({ choices }) => choices[0].text)).toEqual([
			"<a>",
			"",
			"<b>",
			"",
			"<c>",
			"",
		]);
		connection.socket.destroy();
	});

	it("is usable after a refusal whose body was read, and closed after one whose body was not", async () => {
		await served.start({ limits: { bodyBytes: 1000 } });
		const connection = served
			.connect()
			.post("/v1/completions", { model: "m" })
			.post("/v1/completions", { ...streamed, stream: false });
		await connection.until('"text_completion"');
		expect(connection.text).toMatch(/^HTTP\/1.1 400 /);
		connection.post("/v1/completions", "x".repeat(2000));
		await connection.closed;
		expect(connection.text).toContain("HTTP/1.1 413 ");
	});

	it("gets no second answer into the middle of a stream when rubbish follows the request", async () => {
		await served.start();
		const first = signalled();
		served.answer = async function* (_request, { signal }) {
			yield delta("x");
			first.reach();
			await aborted(signal);
		};
		const connection = served.connect().post("/v1/completions", streamed);
		await first.reached;
		await connection.until("data: ");
		connection.socket.write("rubbish\r\n\r\n");
		await connection.closed;
		expect(connection.text.match(/HTTP\/1\.1/g)).toHaveLength(1);
	});

	it("is closed by the server after rubbish, with a JSON error", async () => {
		await served.start();
		const connection = served.connect();
		connection.socket.write("rubbish\r\n\r\n");
		await connection.until("}");
		expect(connection.text).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
		expect(JSON.parse(connection.text.split("\r\n\r\n")[1]!).error.code).toBe("invalid_argument");
		await connection.closed;
	});

	it("gets 408 when its body does not come", async () => {
		await served.start({ limits: { requestTimeoutMs: 50 } });
		const connection = served.connect();
		connection.socket.write(
			"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{",
		);
		await connection.closed;
		expect(connection.text).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n/);
	});

	it.each([
		["two authorizations", ["authorization: Bearer a", "authorization: Bearer b"], 400],
		["two hosts", ["host: y"], 400],
		["a compressed body", ["content-encoding: gzip"], 415],
	])("is refused %s", async (_what, headers, status) => {
		await served.start();
		const connection = served.connect().post("/v1/completions", { ...streamed, stream: false }, headers);
		await connection.until("\r\n\r\n");
		expect(connection.text).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
		connection.socket.destroy();
	});

	it("of HTTP/1.0 is not told to stay open", async () => {
		await served.start();
		const connection = served.connect();
		const body = JSON.stringify(streamed);
		connection.socket.write(
			`POST /v1/completions HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
		);
		await connection.closed;
		expect(connection.text).toMatch(/\r\nconnection: close\r\n/i);
		expect(connection.text).toContain("[DONE]");
	});
});

/** Enough text to fill every buffer between the server and a client that does not read. */
async function* flood(chunks: number) {
	const text = "\u0001".repeat(1000); // six characters each on the wire
	for (let i = 0; i < chunks; i++) yield delta(text);
	yield end();
}

describe("a client that does not read", () => {
	it("stops the engine's stream, and gets everything once it reads", async () => {
		await served.start();
		let taken = 0;
		served.answer = async function* () {
			for await (const each of flood(3000)) {
				taken++;
				yield each;
			}
		};
		const connection = served.connect();
		connection.socket.pause();
		connection.post("/v1/completions", streamed);
		// Held up when nothing was taken for many turns of the event loop.
		for (let before = -1, quiet = 0; quiet < 100; before = taken) {
			await new Promise(setImmediate);
			quiet = taken > 0 && taken === before ? quiet + 1 : 0;
		}
		expect(taken).toBeLessThan(3000);
		connection.socket.resume();
		await connection.until("[DONE]");
		expect(taken).toBe(3001);
		expect(eventsOf(connection.text).reduce((sum, { choices }) => sum + choices[0].text.length, 0)).toBe(
			3_000_000,
		);
		connection.socket.destroy();
	});

	it("is cancelled after slowClientMs", async () => {
		await served.start({ limits: { slowClientMs: 20 } });
		const cancelled = signalled();
		served.answer = async function* (_request, { signal }) {
			signal.addEventListener("abort", cancelled.reach);
			yield* flood(100_000);
		};
		const connection = served.connect();
		connection.socket.pause();
		connection.post("/v1/completions", streamed);
		await cancelled.reached;
		connection.socket.resume();
		await connection.closed;
		expect(connection.text).not.toContain("[DONE]");
	});

	it("is let go after slowClientMs when its whole answer is ready", async () => {
		await served.start({ limits: { slowClientMs: 20 } });
		served.answer = () => flood(3000);
		const connection = served.connect();
		connection.socket.pause();
		connection.post("/v1/completions", { ...streamed, stream: false });
		while (served.seen.length === 0) await new Promise(setImmediate);
		await served.frontend.drain();
		connection.socket.resume();
		await connection.closed;
		expect(connection.text.length).toBeLessThan(18_000_000);
	});

	it("gets the whole of its answer during a drain", async () => {
		await served.start();
		served.answer = () => flood(3000);
		const connection = served.connect();
		connection.socket.pause();
		connection.post("/v1/completions", { ...streamed, stream: false });
		while (served.seen.length === 0) await new Promise(setImmediate);
		const drained = served.frontend.drain();
		await fetch(`${served.address}/health`); // the drain has begun
		connection.socket.resume();
		await connection.closed;
		await drained;
		const [, body] = connection.text.split("\r\n\r\n");
		expect(JSON.parse(body!).choices[0].text).toHaveLength(3_000_000);
	});
});
