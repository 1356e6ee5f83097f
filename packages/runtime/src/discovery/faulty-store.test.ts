// SPDX-License-Identifier: Apache-2.0
import { createLogger, createRequestContext, type LogRecord } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { storeWith } from "../__fixtures__/store-with.js";
import { collect } from "../__fixtures__/streams.js";
import { createRuntime } from "../create-runtime.js";
import type { StoreEvent } from "./key-value-store.js";

describe("a discovery store that", () => {
	it("answers late: a request waits until what is present is known", async () => {
		let answer = Promise.resolve();
		let release!: () => void;
		const discovery = storeWith((store) => ({
			async *watch(prefix, signal): AsyncGenerator<StoreEvent> {
				await answer;
				yield* store.watch(prefix, signal);
			},
		}));
		await using slow = await createRuntime({ discovery });
		await slow.endpoint("a.b.c").serve(async function* () {
			yield "found";
		});
		answer = new Promise((resolve) => {
			release = resolve;
		});
		const client = slow.endpoint("a.b.c").client();
		const answers = collect(client.generate(1, createRequestContext()));
		release();
		expect(await answers).toEqual(["found"]);
	});

	it("breaks while it is watched: is logged, and requests are told that nobody is there", async () => {
		const records: LogRecord[] = [];
		const discovery = storeWith(() => ({
			// biome-ignore lint/correctness/useYield: it breaks before it has anything to say
			async *watch(): AsyncGenerator<StoreEvent> {
				throw new Error("connection lost");
			},
		}));
		await using broken = await createRuntime({
			discovery,
			logger: createLogger("error", (record) => records.push(record)),
		});
		await expect(
			collect(broken.endpoint("a.b.c").client().generate(1, createRequestContext())),
		).rejects.toMatchObject({ code: "UNAVAILABLE" });
		expect(records.map(({ fields }) => fields["prefix"])).toEqual(["v1/mdc/", "v1/instances/a/b/c/"]);
	});

	it("cannot be reached at the end: the endpoint drains all the same and takes no call any more", async () => {
		const discovery = storeWith(() => ({
			delete: async () => {
				throw new Error("connection lost");
			},
		}));
		const stranded = await createRuntime({ discovery });
		const served = await stranded.endpoint("a.b.c").serve(async function* () {});
		const client = stranded.endpoint("a.b.c").client();
		await served.drain();
		await expect(collect(client.generate(1, createRequestContext()))).rejects.toMatchObject({
			code: "UNAVAILABLE",
			rawMessage: expect.stringContaining("has no instance"),
		});
	});
});
