// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { aborted, collect } from "../__fixtures__/streams.js";
import { createRuntime } from "../create-runtime.js";
import type { Runtime } from "../types.js";

let runtime: Runtime;
beforeEach(async () => {
	runtime = await createRuntime();
});
afterEach(() => runtime.close());
const endpoint = () => runtime.endpoint("dyn://ns.comp.ep");

describe("serving", () => {
	it("streams answers, and errors as they are", async () => {
		await endpoint().serve(async function* (request) {
			yield request;
			if (request === "bad") throw new DynError("OVERLOADED", "full");
		});
		const client = endpoint().client();
		expect(await collect(client.generate("x", createRequestContext()))).toEqual(["x"]);
		await expect(collect(client.generate("bad", createRequestContext()))).rejects.toMatchObject({
			code: "OVERLOADED",
		});
	});

	it("takes instances in turn, one by name, and says so when there is none", async () => {
		const client = endpoint().client();
		await expect(collect(client.generate(1, createRequestContext()))).rejects.toMatchObject({
			code: "UNAVAILABLE",
			retryable: true,
		});
		const served = [];
		for (const name of ["a", "b"]) {
			served.push(
				await endpoint().serve(async function* () {
					yield name;
				}),
			);
		}
		const answers = [];
		for (let i = 0; i < 4; i++) answers.push(...(await collect(client.generate(1, createRequestContext()))));
		expect(answers.toSorted()).toEqual(["a", "a", "b", "b"]);
		const { id } = served[1]!.instance;
		expect(await collect(client.generate(1, createRequestContext(), { instanceId: id }))).toEqual(["b"]);
		await served[1]!.close();
		await expect(collect(client.generate(1, createRequestContext(), { instanceId: id }))).rejects.toThrow(
			`not instance ${id}`,
		);
		expect(client.instances().map((instance) => instance.id)).toEqual([served[0]!.instance.id]);
	});

	it("avoids an instance until it is admitted, whatever else fails there meanwhile", async () => {
		for (const name of ["frozen", "fine"]) {
			await endpoint().serve(async function* (request) {
				if (request === "fail") throw new DynError("DISCONNECTED", "broke off");
				yield name;
			});
		}
		const client = endpoint().client();
		const chosen = async () => (await client.choose()).id;
		const [one, other] = [await chosen(), await chosen()];
		client.inhibit(one, "admitted");
		const failing = client.generate("fail", createRequestContext(), { instanceId: one });
		await expect(collect(failing)).rejects.toMatchObject({ code: "DISCONNECTED" });
		vi.useFakeTimers({ now: 0, toFake: ["performance"] });
		try {
			vi.advanceTimersByTime(3_600_000);
			expect([await chosen(), await chosen()]).toEqual([other, other]);
			client.admit(one);
			expect(new Set([await chosen(), await chosen()])).toEqual(new Set([one, other]));
		} finally {
			vi.useRealTimers();
		}
	});

	it("passes the caller's abort and early leave on to the handler", async () => {
		let ended = 0;
		await endpoint().serve(async function* (_request, { signal }) {
			try {
				yield 1;
				await aborted(signal);
			} finally {
				ended++;
			}
		});
		const client = endpoint().client();
		for await (const _ of client.generate(1, createRequestContext())) break;
		expect(ended).toBe(1);
		const stop = new AbortController();
		for await (const _ of client.generate(1, createRequestContext({ signal: stop.signal }))) stop.abort();
		expect(ended).toBe(2);
	});

	it("withdraws for a while: goes on serving, is not chosen, and comes back under the same id", async () => {
		const served = await endpoint().serve(async function* () {
			yield 1;
		});
		const client = endpoint().client();
		const instance = await client.choose();
		await served.withdraw();
		await vi.waitFor(() => expect(client.instances()).toEqual([]));
		expect(await collect(client.call(instance, {}, createRequestContext()))).toEqual([1]);
		await served.announce();
		await vi.waitFor(() => expect(client.instances()).toEqual([instance]));
		await served.drain();
		await expect(served.announce()).rejects.toMatchObject({ code: "DRAINING" });
		expect(client.instances()).toEqual([]);
	});

	it("drains: leaves discovery, refuses what is new, waits for what runs", async () => {
		let finish!: () => void;
		const served = await endpoint().serve(async function* () {
			yield "begun";
			await new Promise<void>((resolve) => {
				finish = resolve;
			});
			yield "done";
		});
		const client = endpoint().client();
		const running = client.generate(1, createRequestContext())[Symbol.asyncIterator]();
		await running.next();
		expect(served.inflight).toBe(1);
		let drained = false;
		const draining = served.drain().then(() => {
			drained = true;
		});
		await Promise.resolve();
		await Promise.resolve();
		expect(client.instances()).toEqual([]);
		const rest = running.next();
		finish();
		expect(await rest).toEqual({ value: "done", done: false });
		expect(drained).toBe(false);
		await running.next();
		await draining;
		expect(served.inflight).toBe(0);
	});

	it("lets a client that was just made see everyone who is there", async () => {
		for (const name of ["a", "b", "c"])
			await endpoint().serve(async function* () {
				yield name;
			});
		const client = endpoint().client();
		const first = [1, 2, 3].map((request) => collect(client.generate(request, createRequestContext())));
		expect((await Promise.all(first)).flat().toSorted()).toEqual(["a", "b", "c"]);
	});

	it("refuses to serve once the runtime is closed", async () => {
		await runtime.close();
		await expect(endpoint().serve(async function* () {})).rejects.toThrow(
			"cannot serve dyn://ns.comp.ep: the runtime is closed",
		);
	});

	it("aborts what runs when it is closed", async () => {
		const served = await endpoint().serve(async function* (_request, { signal }) {
			yield 1;
			await aborted(signal);
		});
		const running = endpoint().client().generate(1, createRequestContext())[Symbol.asyncIterator]();
		await running.next();
		const closing = served.close();
		expect((await running.next()).done).toBe(true);
		await closing;
	});
});
