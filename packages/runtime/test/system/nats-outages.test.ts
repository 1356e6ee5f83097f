// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { MemoryStore } from "@dyn/runtime";
import { describe, expect, it, vi } from "vitest";
import { all, failure, Peer, signalled } from "../nats-peer.js";
import { NatsServer, natsServerMissing } from "../nats-server.js";

const missing = natsServerMissing();
if (missing) console.warn(`tests of outages of NATS skipped: ${missing}`);

describe.skipIf(missing)("requests while NATS is away", () => {
	it("finishes running streams, fails new calls at once, and serves again when it is back", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery);
		const release = signalled();
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield 1;
			await release.promise;
			yield 2;
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		const running = client.generate({}, createRequestContext())[Symbol.asyncIterator]();
		await running.next();

		await server.kill();
		await Promise.all([worker.becomes(false), caller.becomes(false)]);
		const refused = await failure(all(client.generate({}, createRequestContext())));
		expect(refused.message).toMatch(/^\[UNAVAILABLE\] NATS at nats:.* cannot be reached/);
		const second = await worker.runtime.endpoint("dyn.backend.other").serve(async function* () {
			yield "other";
		});
		release.resolve();
		expect((await running.next()).value).toBe(2);
		expect((await running.next()).done).toBe(true);

		await server.start();
		await Promise.all([worker.becomes(true), caller.becomes(true)]);
		await worker.nats.flush(); // it is subscribed again
		expect(await all(client.generate({}, createRequestContext()))).toEqual([1, 2]);
		const other = caller.runtime.endpoint("dyn.backend.other").client();
		expect(await all(other.call(second.instance, {}, createRequestContext()))).toEqual(["other"]);
	});

	it("fails a call that waits for its acknowledgement as soon as the connection breaks", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery, { requestTimeoutMs: 600_000 });
		await using caller = await Peer.start(server, discovery, { requestTimeoutMs: 600_000 });
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		await server.freeze();
		const requests = vi.spyOn(caller.nats, "request");
		const abort = new AbortController();
		const context = createRequestContext({ signal: abort.signal });
		const aborted = client.generate({}, context)[Symbol.asyncIterator]().next();
		await vi.waitUntil(() => requests.mock.calls.length === 1);
		abort.abort();
		expect((await failure(aborted)).code).toBe("CANCELLED");
		const waiting = failure(all(client.generate({}, createRequestContext())));
		await vi.waitUntil(() => requests.mock.calls.length === 2);
		await server.kill();
		expect((await waiting).code).toBe("UNAVAILABLE");
	});

	it("does not wait longer than the request timeout for a server that is frozen", async () => {
		await using server = await NatsServer.start();
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery);
		await using caller = await Peer.start(server, discovery, { requestTimeoutMs: 100 });
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* () {
			yield 1;
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		await server.freeze();
		const error = await failure(all(client.generate({}, createRequestContext())));
		expect(error.message).toMatch(/^\[UNAVAILABLE\] dyn_backend\.generate-\w+ did not answer within 100 ms$/);
		server.thaw();
		expect(await all(client.generate({}, createRequestContext()))).toEqual([1]);
	});
});
