// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { createRuntime, type KeyValueStore, type ReceivedEvent, type Runtime } from "@dyn/runtime";
import {
	connectNats,
	createNatsEventPlane,
	createNatsRequestPlane,
	type NatsLink,
	type NatsOptions,
	type NatsRequestPlaneOptions,
} from "@dyn/runtime/nats";
import { expect } from "vitest";
import type { NatsServer } from "./nats-server.js";

const identity = (value: unknown): unknown => value;
export const codec = {
	encodeRequest: identity,
	decodeRequest: identity,
	encodeItem: identity,
	decodeItem: identity,
};

/** A process of its own, as far as NATS can tell. */
export class Peer implements AsyncDisposable {
	readonly nats: NatsLink;
	readonly runtime: Runtime;

	private constructor(nats: NatsLink, runtime: Runtime) {
		this.nats = nats;
		this.runtime = runtime;
	}

	static async start(
		server: NatsServer,
		discovery: KeyValueStore,
		options: NatsOptions & Omit<NatsRequestPlaneOptions, "nats"> = {},
	): Promise<Peer> {
		const nats = await connectNats({ servers: [server.url], ...options });
		const requestPlanes = [createNatsRequestPlane({ ...options, nats })];
		const eventPlane = createNatsEventPlane({ nats });
		return new Peer(nats, await createRuntime({ discovery, requestPlanes, eventPlane }));
	}

	/** Resolves when the connection is there, or not there. */
	async becomes(connected: boolean): Promise<void> {
		if (this.nats.connected === connected) return;
		await new Promise<void>((resolve) => {
			const stop = this.nats.onChange(() => {
				stop();
				resolve();
			});
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.runtime.close();
		await this.nats.close();
	}
}

export async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
	const list: unknown[] = [];
	for await (const item of items) list.push(item);
	return list;
}

export async function failure(promise: Promise<unknown>): Promise<DynError> {
	const error = await promise.then(
		() => expect.unreachable("it should have failed"),
		(thrown: unknown) => thrown,
	);
	expect(DynError.is(error), String(error)).toBe(true);
	return error as DynError;
}

/** A promise and what settles it. */
export function signalled<T = void>(): {
	readonly promise: Promise<T>;
	readonly resolve: (value: T) => void;
} {
	let resolve!: (value: T) => void;
	const promise = new Promise<T>((settle) => {
		resolve = settle;
	});
	return { promise, resolve };
}

/** The first `count` events; the subscription stays open. */
export async function take(
	subscription: AsyncIterable<ReceivedEvent>,
	count: number,
): Promise<ReceivedEvent[]> {
	const iterator = subscription[Symbol.asyncIterator]();
	const events: ReceivedEvent[] = [];
	while (events.length < count) events.push((await iterator.next()).value);
	return events;
}
