// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { EventOutbox } from "./event-outbox.js";
import type { NatsLink } from "./nats-link.js";

/** A link whose server acknowledges when the test says so. */
class FakeLink implements Pick<NatsLink, "connected" | "maxMessageBytes" | "onChange" | "publish" | "flush"> {
	connected = true;
	readonly maxMessageBytes = 2 ** 20;
	readonly published: Uint8Array[] = [];
	#flushes: { resolve: () => void; reject: (error: unknown) => void }[] = [];
	readonly #listeners = new Set<(connected: boolean) => void>();

	onChange(listener: (connected: boolean) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	publish(_subject: string, body: Uint8Array): void {
		this.published.push(body);
	}

	flush(): Promise<void> {
		if (!this.connected) return Promise.reject(new DynError("UNAVAILABLE", "away"));
		return new Promise((resolve, reject) => this.#flushes.push({ resolve, reject }));
	}

	async acknowledge(): Promise<void> {
		for (const { resolve } of this.#flushes.splice(0)) resolve();
		await settled();
	}

	/** The server is late with its answer, but there. */
	async timeOut(): Promise<void> {
		for (const { reject } of this.#flushes.splice(0)) reject(new DynError("UNAVAILABLE", "late"));
		await settled();
	}

	async change(connected: boolean): Promise<void> {
		this.connected = connected;
		if (!connected) await this.timeOut();
		for (const listener of this.#listeners) listener(connected);
	}
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

function create(capacity: number): { link: FakeLink; outbox: EventOutbox } {
	const link = new FakeLink();
	return { link, outbox: new EventOutbox(link as unknown as NatsLink, "subject", capacity) };
}

const large = (first: number) => new Uint8Array(2 ** 18).fill(first, 0, 1);
const first = (bodies: readonly Uint8Array[]) => bodies.map((body) => body[0]);

describe("EventOutbox", () => {
	it("sends at once while the server keeps up", () => {
		const { link, outbox } = create(10);
		for (let i = 0; i < 100; i++) outbox.push(new Uint8Array([i]));
		expect(first(link.published)).toEqual(Array.from({ length: 100 }, (_, i) => i));
		expect(outbox.dropped).toBe(0);
	});

	it("sends 1 MiB ahead of a slow server, then waits and drops the oldest", async () => {
		const { link, outbox } = create(2);
		for (let i = 0; i < 10; i++) outbox.push(large(i));
		expect(first(link.published)).toEqual([0, 1, 2, 3]);
		expect(outbox.dropped).toBe(4);
		await link.acknowledge();
		expect(first(link.published)).toEqual([0, 1, 2, 3, 8, 9]);
	});

	it("asks again when an acknowledgement is late", async () => {
		const { link, outbox } = create(10);
		for (let i = 0; i < 6; i++) outbox.push(large(i));
		await link.timeOut();
		await link.acknowledge();
		expect(first(link.published)).toEqual([0, 1, 2, 3, 4, 5]);
	});

	it("keeps the newest while there is no connection and goes on with them", async () => {
		const { link, outbox } = create(3);
		for (let i = 0; i < 4; i++) outbox.push(large(i)); // fills the window, which ends with the connection
		await link.change(false);
		for (let i = 4; i < 10; i++) outbox.push(new Uint8Array([i]));
		expect(link.published).toHaveLength(4);
		await link.change(true);
		expect(first(link.published)).toEqual([0, 1, 2, 3, 7, 8, 9]);
		expect(outbox.dropped).toBe(3);
	});

	it("does not count acknowledgements of a former connection", async () => {
		const { link, outbox } = create(100);
		for (let i = 0; i < 4; i++) outbox.push(large(i));
		await link.change(false);
		await link.change(true);
		for (let i = 4; i < 12; i++) outbox.push(large(i));
		expect(first(link.published)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
	});

	it("drops what the server would not take", () => {
		const { link, outbox } = create(10);
		outbox.push(new Uint8Array(link.maxMessageBytes + 1));
		expect(outbox.dropped).toBe(1);
		expect(link.published).toEqual([]);
	});

	it("closes when everything has left", async () => {
		const { link, outbox } = create(10);
		for (let i = 0; i < 6; i++) outbox.push(large(i));
		let closed = false;
		const closing = outbox.close().then(() => {
			closed = true;
		});
		await link.acknowledge();
		expect(link.published).toHaveLength(6);
		expect(closed).toBe(false);
		await link.acknowledge();
		await closing;
		expect(outbox.dropped).toBe(0);
	});

	it("closes without a connection and counts what never left", async () => {
		const { link, outbox } = create(10);
		await link.change(false);
		outbox.push(new Uint8Array(1));
		await outbox.close();
		expect(outbox.dropped).toBe(1);
	});
});
