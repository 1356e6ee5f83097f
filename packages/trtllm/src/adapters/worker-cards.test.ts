// SPDX-License-Identifier: Apache-2.0
import type { ModelCard } from "@dyn/protocols";
import { expect, it } from "vitest";
import { WorkerCards } from "./worker-cards.js";

/** Cards over a discovery that says what it holds, and refuses one name while it is set. */
function recorded() {
	const there: string[] = [];
	const state = { refused: "" };
	const card = { name: "m", endpointTypes: ["chat", "embeddings"] } as unknown as ModelCard;
	const cards = new WorkerCards({
		card,
		adapters: ["a"],
		async publish({ name, lora }) {
			await null;
			if (name === state.refused) throw new Error("no discovery");
			expect(lora).toBe(name === "m" ? undefined : name);
			there.push(name);
			return { withdraw: async () => void there.splice(there.indexOf(name), 1) };
		},
		kvEvents: {
			announce: async () => void there.push("events"),
			withdraw: async () => void there.splice(there.indexOf("events"), 1),
		},
	});
	return { cards, there, state };
}

it("come with the worker, and those of adapters on their own", async () => {
	const { cards, there } = recorded();
	await cards.add("b"); // before there is anything to tell
	expect(there).toEqual([]);
	const presence = await cards.publish();
	expect(there).toEqual(["events", "m", "a", "b"]);
	await Promise.all([cards.add("c"), cards.remove("a"), cards.add("a"), cards.remove("b")]);
	expect(there).toEqual(["events", "m", "c", "a"]);
	await presence.withdraw();
	expect(there).toEqual([]);
	await cards.remove("c"); // while the worker is not there
	await cards.publish();
	expect(there).toEqual(["events", "m", "a"]);
});

it("that could not be published are tried again, and only they", async () => {
	const { cards, there, state } = recorded();
	state.refused = "a";
	await expect(cards.publish()).rejects.toThrow("no discovery");
	state.refused = "b";
	await cards.publish();
	await expect(cards.add("b")).rejects.toThrow("no discovery");
	expect(there.filter((name) => name !== "events")).toEqual(["m", "a"]);
	await cards.add("c");
	expect(there).toContain("c");
});
