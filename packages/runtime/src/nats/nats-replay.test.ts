// SPDX-License-Identifier: Apache-2.0
import { DynError, silentLogger } from "@dyn/common";
import { encodeMsgpack } from "@dyn/protocols/msgpack";
import { describe, expect, it } from "vitest";
import { encodeEnvelope } from "../event-plane/envelope.js";
import { NEWEST } from "../event-plane/gap-repair.js";
import { ReplayBuffer } from "../event-plane/replay-buffer.js";
import { encodeReplayRequest } from "../event-plane/replay-protocol.js";
import type { NatsLink } from "./nats-link.js";
import { answerReplay, replaySubject, requestReplay } from "./nats-replay.js";

const PUBLISHER = 0x1fn;

function envelope(sequence: bigint, payload: unknown = null): Uint8Array {
	const bytes = encodeMsgpack(payload);
	return encodeEnvelope({ publisherId: PUBLISHER, sequence, publishedAtMs: 0, topic: "t", payload: bytes });
}

/** A publisher that has sent ten events and keeps the last eight, but for one that could not be encoded. */
function keep(payload?: unknown): ReplayBuffer {
	const kept = new ReplayBuffer(8);
	for (let sequence = 0n; sequence < 10n; sequence++)
		kept.push(sequence === 4n ? null : envelope(sequence, payload));
	return kept;
}

/** What a subscriber gets from whoever `answer`s. */
async function ask(from: bigint, to: bigint, answer: (question: Uint8Array) => Uint8Array) {
	const nats: Pick<NatsLink, "request"> = {
		request: async (subject, question) => {
			expect(subject).toBe("dyn.replay.1f");
			return answer(question);
		},
	};
	const request = { publisherId: PUBLISHER, from, to };
	const { signal } = new AbortController();
	const { events, settled } = await requestReplay(nats as NatsLink, request, signal, silentLogger);
	return { sequences: events.map(({ sequence }) => Number(sequence)), settled };
}

const from = (kept: ReplayBuffer, maxBytes = 2 ** 20) => {
	return (question: Uint8Array) => answerReplay(question, PUBLISHER, kept, maxBytes);
};

describe("replay over NATS", () => {
	it("has a subject for each publisher", () => {
		expect(replaySubject(2n ** 64n - 1n)).toBe("dyn.replay.ffffffffffffffff");
	});

	it("brings what is asked for and still there", async () => {
		expect(await ask(0n, 5n, from(keep()))).toEqual({ sequences: [2, 3, 5], settled: 5n });
		expect(await ask(8n, NEWEST, from(keep()))).toEqual({ sequences: [8, 9], settled: 9n });
		expect(await ask(0n, 0n, from(keep()))).toEqual({ sequences: [], settled: 0n });
	});

	it("brings no more than one message takes, and can be asked for the rest", async () => {
		const size = 4 + envelope(0n).length;
		const answer = from(keep(), 17 + 3 * size);
		expect(await ask(0n, 9n, answer)).toEqual({ sequences: [2, 3, 5], settled: 5n });
		expect(await ask(6n, 9n, answer)).toEqual({ sequences: [6, 7, 8], settled: 8n });
		expect(await ask(9n, 9n, answer)).toEqual({ sequences: [9], settled: 9n });
	});

	it("passes over an event that does not fit at all", async () => {
		expect(await ask(6n, 9n, from(keep("large"), 40))).toEqual({ sequences: [], settled: 6n });
	});

	it("takes for lost what nobody answers, and what is no answer", async () => {
		const nobody = () => {
			throw new DynError("UNAVAILABLE", "nobody");
		};
		const nothing = { sequences: [], settled: 9n };
		expect(await ask(0n, 9n, nobody)).toEqual(nothing);
		expect(await ask(0n, 9n, () => Buffer.from("who are you?"))).toEqual(nothing);
		expect(await ask(0n, 9n, (question) => from(keep())(question).slice(0, -1))).toEqual(nothing);
		const more = encodeReplayRequest({ publisherId: PUBLISHER, from: 0n, to: NEWEST });
		expect(await ask(2n, 3n, () => from(keep())(more))).toEqual({ sequences: [], settled: 3n });
		expect(await ask(3n, NEWEST, nobody)).toEqual({ sequences: [], settled: 2n });
	});

	it("answers only for itself", () => {
		const question = encodeReplayRequest({ publisherId: 7n, from: 0n, to: 1n });
		expect(() => from(keep())(question)).toThrow("publisher 31 was asked for 7");
		expect(() => from(keep())(new Uint8Array(3))).toThrow("[INVALID_ARGUMENT]");
	});
});
