// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
// @boundaries-ignore one helper starts this server for the tests of every package
import { NatsServer, natsServerMissing } from "../../../../../packages/runtime/test/nats-server.js";
import { Deployment, untilInstances } from "./deployment.js";
import { greedy, type StreamEnd, spread, streamOnce } from "./streams.js";

const missing = natsServerMissing();
if (missing) console.warn(`NATS outages are not tested: ${missing}`);

const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 1000));

describe.skipIf(missing)("NATS carries the events and fails", () => {
	it("and requests over tcp go on while it is dead, frozen and back", async () => {
		await using nats = await NatsServer.start();
		await using deployment = new Deployment();
		const plane = ["--event-plane", "nats", "--nats-server", nats.url];
		const [frontend] = await Promise.all([
			deployment.frontend(plane),
			deployment.worker(plane),
			deployment.worker(plane),
		]);
		await untilInstances(frontend!, 2);
		const ends: StreamEnd[] = [];
		let stopped = false;
		const clients = Array.from({ length: 4 }, async () => {
			while (!stopped) ends.push(await streamOnce(frontend!, greedy("The sea", 8)));
		});
		await seconds(1);
		await nats.kill();
		await seconds(4);
		await nats.start();
		await seconds(1);
		nats.freeze();
		await seconds(4);
		nats.thaw();
		await seconds(1);
		stopped = true;
		await Promise.all(clients);
		console.log(
			`F12 ${ends.length} requests, ${spread(ends.map(({ firstTokenMs }) => firstTokenMs))} to the first token`,
		);
		expect(ends.length).toBeGreaterThan(20);
		expect(ends.filter(({ error }) => error !== null)).toEqual([]);
		expect(new Set(ends.map(({ text }) => text)).size).toBe(1);
		expect(deployment.processes.every(({ running }) => running)).toBe(true);
		// Each can still leave in order.
		for (const each of deployment.processes) each.kill("SIGTERM");
		for (const each of deployment.processes) expect(await each.exited).toEqual({ code: 0, signal: null });
	});
});
