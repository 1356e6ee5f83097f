// SPDX-License-Identifier: Apache-2.0
import { createLogger, type LogRecord } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createTcpKvTransfer, type KvTransferAgent } from "@dyn/kvbm/transfer";
import type { GenerateRequestInit, KvSession } from "@dyn/protocols";
import { decodeKvSession, encodeKvSession } from "@dyn/protocols/dynamo";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { collect, greedy, text, tokensOf } from "../engine/__fixtures__/ask.js";
import { type PaperBackend, paperEngine } from "../engine/__fixtures__/paper-backend.js";

interface Half {
	readonly engine: Engine;
	readonly backend: PaperBackend;
	readonly agent: KvTransferAgent;
}
const records: LogRecord[] = [];
const logger = createLogger("warn", (record) => records.push(record));
async function half(options: Parameters<typeof paperEngine>[0] = {}): Promise<Half> {
	const agent = await createTcpKvTransfer();
	return { ...(await paperEngine({ kvTransfer: agent, logger, ...options })), agent };
}
async function close(...halves: readonly Half[]): Promise<void> {
	for (const { engine, agent } of halves) {
		await engine.close();
		await agent.close();
	}
}

let prefill: Half;
let decode: Half;
beforeEach(async () => {
	records.length = 0;
	[prefill, decode] = [await half(), await half()];
});
afterEach(() => close(prefill, decode));

type Asked = Omit<GenerateRequestInit, "tokenIds"> & { readonly tokenIds: number[] };
/** The session as it comes out of the JSON of a relay. */
const relayed = (session: KvSession): KvSession =>
	decodeKvSession(parseJson(stringifyJson(encodeKvSession(session))));
async function prefilled(asked: Asked, by = prefill): Promise<KvSession> {
	const outputs = await collect(by.engine, greedy({ ...asked, disaggregation: { role: "prefill" } }));
	expect(outputs).toHaveLength(1);
	expect(outputs[0]).toMatchObject({ finishReason: "length", tokenIds: [expect.any(Number)] });
	return relayed(outputs[0]!.kvSession!);
}
const decoded = (asked: Asked, session: KvSession, by = decode) =>
	collect(by.engine, greedy({ ...asked, disaggregation: { role: "decode", session } }));
const computedRows = ({ backend }: Half) =>
	backend.steps.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
const activeBlocks = ({ engine }: Half) => engine.load()[0]!.activeKvBlocks;

describe("prefill and decode apart", () => {
	it.each<[string, Asked]>([
		["greedy", { tokenIds: text(1, 100) }],
		["a prompt of whole blocks", { tokenIds: text(2, 96) }],
		["less than a block", { tokenIds: text(3, 20) }],
		[
			"drawn with a seed, three choices",
			{ tokenIds: text(4, 70), sampling: { temperature: 1, seed: 9, n: 3 } },
		],
		["a salt of its own", { tokenIds: text(5, 100), routing: { cacheSalt: "s" } }],
	])("give what one engine gives: %s", async (_, asked) => {
		const alone = await half();
		const undisturbed = await collect(alone.engine, greedy(asked));
		const session = await prefilled({ ...asked, sampling: { ...asked.sampling, n: 1 } });
		const outputs = await decoded(asked, session);
		for (let index = 0; index < (asked.sampling?.n ?? 1); index++)
			expect(tokensOf(outputs, index)).toEqual(tokensOf(undisturbed, index));
		const blocks = Math.floor((asked.tokenIds.length - 1) / 32);
		expect(session.attributes).toMatchObject({ num_blocks: blocks, prompt_tokens: asked.tokenIds.length });
		expect(computedRows(decode)).toBeLessThan(computedRows(alone) - blocks * 32 + 1);
		await vi.waitFor(() => expect([activeBlocks(prefill), prefill.agent.offered]).toEqual([0, 0]));
		await close(alone);
	});

	it("draw the same first token when the request names no seed", async () => {
		const asked = { tokenIds: text(6, 50), sampling: { temperature: 1 } };
		const session = await prefilled(asked);
		const [first] = tokensOf(await decoded(asked, session));
		expect(session.attributes["first_gen_tokens"]).toEqual([first]);
	});

	it("count as cached what the prefill had cached, and fetch only what is missing", async () => {
		const asked = { tokenIds: text(7, 100) };
		await collect(prefill.engine, greedy(asked));
		await collect(decode.engine, greedy({ tokenIds: asked.tokenIds.slice(0, 40) }));
		const pull = vi.spyOn(decode.agent, "pull");
		const outputs = await decoded(asked, await prefilled(asked));
		expect(outputs.at(-1)?.usage).toMatchObject({ promptTokens: 100, cachedTokens: 96 });
		expect(pull.mock.calls[0]?.[1].firstBlock).toBe(1);
	});
});

describe("when something fails", () => {
	it("computes the prompt again when the holder is gone, and says so", async () => {
		const asked = { tokenIds: text(1, 100) };
		const session = await prefilled(asked);
		await close(prefill);
		const alone = await half();
		const undisturbed = await collect(alone.engine, greedy(asked));
		expect(tokensOf(await decoded(asked, session))).toEqual(tokensOf(undisturbed));
		expect(records.map(({ message }) => message)).toEqual([
			"KV blocks could not be fetched: the rest of the prompt is computed here",
		]);
		expect(activeBlocks(decode)).toBe(0);
		await close(alone);
		prefill = await half();
	});

	it("lets blocks go that nobody fetched, at the deadline and at the end", async () => {
		const hasty = await half({ kvTransferDeadlineMs: 20 });
		const session = await prefilled({ tokenIds: text(1, 100) }, hasty);
		expect(session.attributes["num_blocks"]).toBe(3);
		await vi.waitFor(() => expect([activeBlocks(hasty), hasty.agent.offered]).toEqual([0, 0]));
		await prefilled({ tokenIds: text(2, 100) });
		expect(activeBlocks(prefill)).toBe(3);
		await prefill.engine.close();
		expect(prefill.agent.offered).toBe(0);
		await close(hasty);
	});

	it("goes on without room for the blocks", async () => {
		const small = await half({ numKvBlocks: 8 });
		const release = small.backend.hold();
		const other = collect(small.engine, greedy({ tokenIds: text(9, 200), stop: { maxTokens: 20 } }));
		await small.backend.held();
		const asked = { tokenIds: text(1, 100) };
		const answer = decoded(asked, await prefilled(asked), small);
		await vi.waitFor(() => expect(prefill.agent.offered).toBe(0));
		release();
		const alone = await half();
		expect(tokensOf(await answer)).toEqual(tokensOf(await collect(alone.engine, greedy(asked))));
		await other;
		await close(small, alone);
	});

	it("reports a request that is cancelled while its blocks travel, and has them let go", async () => {
		const asked = { tokenIds: text(1, 100) };
		const session = await prefilled(asked);
		const stop = new AbortController();
		stop.abort();
		const outputs = await collect(
			decode.engine,
			greedy({ ...asked, disaggregation: { role: "decode", session } }),
			{ signal: stop.signal },
		);
		expect(outputs.map(({ finishReason }) => finishReason)).toEqual(["cancelled"]);
		expect(activeBlocks(decode)).toBe(0);
		await vi.waitFor(() => expect([activeBlocks(prefill), prefill.agent.offered]).toEqual([0, 0]));
	});

	it.each<[string, (session: KvSession) => Partial<KvSession>]>([
		["moves its blocks by NIXL", () => ({ transferBackend: "NIXL" })],
		["is the prefill of another prompt", (s) => ({ attributes: { ...s.attributes, prompt_tokens: 99 } })],
		["is the prefill of another prompt", (s) => ({ attributes: { ...s.attributes, last_hash: "1" } })],
		["has blocks laid out as x", (s) => ({ attributes: { ...s.attributes, kv_layout: "x" } })],
		["no usable seed", (s) => ({ attributes: { ...s.attributes, seed: 0.5 } })],
		["no usable last_hash", (s) => ({ attributes: { ...s.attributes, last_hash: 12.5 } })],
		["no usable num_blocks", (s) => ({ attributes: { ...s.attributes, num_blocks: -1 } })],
		["no usable first_gen_tokens", (s) => ({ attributes: { ...s.attributes, first_gen_tokens: ["a"] } })],
	])("refuses a session that %s, before anything moves", async (message, change) => {
		const asked = { tokenIds: text(1, 100) };
		const session = await prefilled(asked);
		const pull = vi.spyOn(decode.agent, "pull");
		await expect(decoded(asked, { ...session, ...change(session) })).rejects.toThrow(message);
		expect(pull).not.toHaveBeenCalled();
		expect(decode.backend.steps).toEqual([]);
	});

	it("says that an engine without KV transfer cannot do either half", async () => {
		const { engine } = await paperEngine();
		const asked = greedy({ tokenIds: text(1, 10), disaggregation: { role: "prefill" } });
		await expect(collect(engine, asked)).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
		await engine.close();
	});
});
