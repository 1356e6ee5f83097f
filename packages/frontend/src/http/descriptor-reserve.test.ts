// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createLogger } from "@dyn/common";
import { afterEach, beforeEach, expect, it } from "vitest";
import { reserveDescriptors } from "./descriptor-reserve.js";

let server: Server;
let logged: string[];
beforeEach(() => {
	logged = [];
	server = createServer((_request, response) => response.end("served"));
});
afterEach(() => {
	server.close();
	server.closeAllConnections();
});

async function answers(limit: number | null, count: number): Promise<[number, string][]> {
	const logger = createLogger("warn", ({ message }) => logged.push(message));
	reserveDescriptors(server, logger, limit);
	await once(server.listen(0, "127.0.0.1"), "listening");
	const { port } = server.address() as AddressInfo;
	const seen: [number, string][] = [];
	for (let each = 0; each < count; each++) {
		const response = await fetch(`http://127.0.0.1:${port}`, {
			method: "POST",
			body: "x".repeat(100_000),
			headers: { connection: "close" },
		});
		seen.push([response.status, await response.text()]);
	}
	return seen;
}

it("serves while there are descriptors, and where nobody knows how many there may be", async () => {
	expect(await answers(1_000_000, 1)).toEqual([[200, "served"]]);
	server.close();
	server = createServer((_request, response) => response.end("served"));
	expect(await answers(null, 1)).toEqual([[200, "served"]]);
});

it("answers 503 to those who would take the last ones, and complains once", async () => {
	const seen = await answers(8, 5);
	for (const [status, text] of seen) {
		expect(status).toBe(503);
		expect(JSON.parse(text).error).toMatchObject({ code: "unavailable", type: "overloaded_error" });
	}
	expect(logged).toHaveLength(1);
});
