// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import { expect, it } from "vitest";
import { defineHandler } from "./handler.js";
import { limitRequests } from "./limit-requests.js";

it("lets so many in, so many wait in their order, and refuses the rest", async () => {
	const begun: string[] = [];
	const finish = new Map<string, () => void>();
	const handler = limitRequests(
		1,
		2,
	)(
		defineHandler({
			name: "slow",
			async *generate(_, { id }) {
				begun.push(id);
				await new Promise<void>((resolve) => finish.set(id, resolve));
			},
		}),
	);
	const ask = async (id: string, signal = new AbortController().signal, healthCheck = false) => {
		const request = { ...createGenerateRequest({ tokenIds: [1] }), healthCheck };
		for await (const _ of handler.generate(request, createRequestContext({ id, signal })));
	};
	const stop = new AbortController();
	const a = ask("a");
	const gone = ask("gone", stop.signal);
	const b = ask("b");
	await expect(ask("c")).rejects.toMatchObject({ code: "OVERLOADED" });
	const canary = ask("canary", undefined, true);
	await new Promise((resolve) => setImmediate(resolve));
	expect(begun).toEqual(["a", "canary"]);
	finish.get("canary")!();
	await canary;
	stop.abort();
	await expect(gone).rejects.toMatchObject({ code: "CANCELLED" });
	const d = ask("d");
	for (const [id, work] of [
		["a", a],
		["b", b],
		["d", d],
	] as const) {
		await Promise.resolve();
		finish.get(id)!();
		await work;
		await new Promise((resolve) => setImmediate(resolve));
	}
	expect(begun).toEqual(["a", "canary", "b", "d"]);
	const last = ask("last");
	await new Promise((resolve) => setImmediate(resolve));
	expect(begun.at(-1)).toBe("last");
	finish.get("last")!();
	await last;
});
