// SPDX-License-Identifier: Apache-2.0
import { createLogger } from "@dyn/common";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Contact } from "./contact.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function listen() {
	const lines: string[] = [];
	const logger = createLogger("info", ({ level, fields }) =>
		lines.push(`${level} ${fields["awayMs"] ?? ""}`),
	);
	return { lines, contact: new Contact(logger) };
}

test("says once that etcd is away, again after a minute, and once that it is back", () => {
	const { lines, contact } = listen();
	expect(contact.connected).toBe(true);
	for (let seconds = 0; seconds < 90; seconds++) {
		contact.lost("leases", new Error());
		contact.lost("watch", new Error());
		vi.advanceTimersByTime(1000);
	}
	expect(lines).toEqual(["warn ", "warn "]);
	contact.reached("leases");
	expect(contact.connected).toBe(false);
	contact.reached("watch");
	contact.reached("watch");
	expect(contact.connected).toBe(true);
	expect(lines).toEqual(["warn ", "warn ", "info 90000"]);
	contact.lost("watch", new Error());
	expect(lines.length).toBe(4);
});

test("forgets who has ended, without a word", () => {
	const { lines, contact } = listen();
	contact.lost("watch", new Error());
	contact.left("watch");
	expect(contact.connected).toBe(true);
	expect(lines).toEqual(["warn "]);
});
