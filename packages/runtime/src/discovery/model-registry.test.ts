// SPDX-License-Identifier: Apache-2.0
import { createLogger, DynError, type LogRecord } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { storeWith } from "../__fixtures__/store-with.js";
import { createRuntime } from "../create-runtime.js";
import type { StoreEvent } from "./key-value-store.js";
import { MemoryStore } from "./memory-store.js";

const card: ModelCard = {
	name: "m",
	source: "m",
	tokenizerPath: "/models/m",
	files: null,
	chatTemplatePath: null,
	endpointTypes: ["chat"],
	contextLength: 100,
	kvBlockSize: 32,
	totalKvBlocks: 10,
	maxNumSeqs: 4,
	maxNumBatchedTokens: 64,
	dpSize: 1,
	eosTokenIds: [2],
	logitsProcessors: ["p"],
	logprobs: true,
	maxChoices: 4,
	localPrefill: false,
	workerType: "aggregated",
	needs: [],
	createdSeconds: 7,
};

describe("model registry", () => {
	it("goes on when discovery cannot be reached, which puts the card when it can, and not when it refuses", async () => {
		let code: "UNAVAILABLE" | "UNAUTHENTICATED" = "UNAVAILABLE";
		const records: LogRecord[] = [];
		const discovery = storeWith(() => ({
			put: async () => {
				throw new DynError(code, "no");
			},
		}));
		await using worker = await createRuntime({
			discovery,
			logger: createLogger("warn", (record) => records.push(record)),
		});
		const instance = { id: 1n, path: { namespace: "a", component: "b", endpoint: "c" } };
		await worker.models.publish(card, instance);
		expect(records.map(({ fields }) => fields["model"])).toEqual(["m"]);
		code = "UNAUTHENTICATED";
		await expect(worker.models.publish(card, instance)).rejects.toMatchObject({ code });
	});

	it("shows present models first, then changes, across runtimes of one store", async () => {
		const store = new MemoryStore();
		const [worker, frontend] = [
			await createRuntime({ discovery: store }),
			await createRuntime({ discovery: store }),
		];
		const served = await worker.endpoint("a.b.c").serve(async function* () {});
		const registration = await worker.models.publish(card, served.instance);
		const stop = new AbortController();
		const slow = storeWith(
			() => ({
				async *watch(prefix, signal): AsyncGenerator<StoreEvent> {
					await new Promise(setImmediate);
					yield* store.watch(prefix, signal);
				},
			}),
			store,
		);
		expect((await createRuntime({ discovery: slow })).models.list()).toHaveLength(1);
		const changes = frontend.models.watch(stop.signal)[Symbol.asyncIterator]();
		expect((await changes.next()).value).toMatchObject({ type: "added", entry: { card } });
		expect(frontend.models.list()).toHaveLength(1);
		await registration.withdraw();
		expect((await changes.next()).value).toMatchObject({ type: "removed", entry: { card } });
		await worker.models.publish(card, served.instance);
		expect((await changes.next()).value).toMatchObject({ type: "added" });
		await worker.close(); // its lease goes, and with it what it published
		expect((await changes.next()).value).toMatchObject({ type: "removed" });
		stop.abort();
		expect((await changes.next()).done).toBe(true);
		await frontend.close();
	});
});
