// SPDX-License-Identifier: Apache-2.0
import { silentLogger } from "@dyn/common";
import { expect, it, vi } from "vitest";
import { Presence } from "./presence.js";

/** A presence over a discovery that says what it is told, in order, and fails while `broken`. */
function recorded() {
	const said: string[] = [];
	const state = { broken: false };
	const say = async (what: string) => {
		await null;
		if (state.broken) throw new Error("no discovery");
		said.push(what);
	};
	const presence = new Presence({
		served: { announce: () => say("instance"), withdraw: () => say("no instance") },
		publishCard: async () => {
			await say("card");
			return { withdraw: () => say("no card") };
		},
		logger: silentLogger,
	});
	return { presence, said, state };
}

it("goes and comes in order, and not for what it did already", async () => {
	const { presence, said } = recorded();
	await presence.begin();
	presence.want(true);
	presence.want(false);
	presence.want(false);
	await vi.waitFor(() => expect(said).toEqual(["card", "no card", "no instance"]));
	presence.want(true);
	await vi.waitFor(() => expect(said.slice(3)).toEqual(["instance", "card"]));
});

it("follows a change of mind on its way", async () => {
	const { presence, said } = recorded();
	await presence.begin();
	presence.want(false);
	presence.want(true);
	await vi.waitFor(() => expect(said).toEqual(["card", "no card", "no instance", "instance", "card"]));
});

it("tries again what failed, and is silent after it left", async () => {
	const { presence, said, state } = recorded();
	await presence.begin();
	state.broken = true;
	presence.want(false);
	await new Promise((resolve) => setImmediate(resolve));
	expect(said).toEqual(["card"]);
	state.broken = false;
	presence.want(false);
	await vi.waitFor(() => expect(said).toEqual(["card", "no card", "no instance"]));
	await presence.leave();
	presence.want(true);
	await new Promise((resolve) => setImmediate(resolve));
	expect(said).toHaveLength(3);
});

it("takes the card out when it leaves, and survives a discovery that is gone", async () => {
	const { presence, said, state } = recorded();
	await presence.begin();
	state.broken = true;
	await presence.leave();
	expect(said).toEqual(["card"]);
	const other = recorded();
	await other.presence.begin();
	await other.presence.leave();
	expect(other.said).toEqual(["card", "no card"]);
});
