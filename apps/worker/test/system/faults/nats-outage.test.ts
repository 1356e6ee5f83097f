// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
// @boundaries-ignore one helper starts this server for the tests of every package
import { NatsServer, natsServerMissing } from "../../../../../packages/runtime/test/nats-server.js";
import { ChaosProxy } from "../../chaos-proxy.js";
import { eventually } from "../../server-process.js";
import { Clients } from "./clients.js";
import { Deployment, untilInstances } from "./deployment.js";
import { greedy, openStream, percentile, type StreamEnd, spread, streamOnce } from "./streams.js";

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
		const clients = new Clients(new Array(4).fill(frontend!), greedy("The sea", 8));
		await seconds(1);
		await nats.kill();
		await seconds(4);
		await nats.start();
		await seconds(1);
		nats.freeze();
		await seconds(4);
		nats.thaw();
		await seconds(1);
		await clients.untilMoreThan(20);
		await clients.stop();
		const { ends } = clients;
		console.log(
			`F12 ${ends.length} requests, ${spread(ends.map(({ firstTokenMs }) => firstTokenMs))} to the first token`,
		);
		expect(ends.filter(({ error }) => error !== null)).toEqual([]);
		expect(new Set(ends.map(({ text }) => text)).size).toBe(1);
		expect(deployment.processes.every(({ running }) => running)).toBe(true);
		// Each can still leave in order.
		for (const each of deployment.processes) each.kill("SIGTERM");
		for (const each of deployment.processes) expect(await each.exited).toEqual({ code: 0, signal: null });
	});

	it("and requests over it fail fast with 503 while it is dead, else not at all", async () => {
		await using nats = await NatsServer.start();
		await using way = await ChaosProxy.start(new URL(nats.url).host);
		await using deployment = new Deployment();
		const plane = ["--request-plane", "nats", "--nats-server", `nats://${way.address}`];
		const [frontend] = await Promise.all([
			deployment.frontend(plane),
			deployment.worker(plane),
			deployment.worker(plane),
		]);
		await untilInstances(frontend!, 2);
		const body = greedy("The sea", 8);
		const undisturbed = (await streamOnce(frontend!, body)).text;
		const all = async (count: number) =>
			Promise.all(Array.from({ length: count }, () => streamOnce(frontend!, body)));
		const wellAgain = () =>
			eventually("it serves again", async () => (await streamOnce(frontend!, body)).error === null, 30_000);

		// Slow: later, and whole.
		for (const each of [way.up, way.down]) each.latencyMs = 300;
		for (const { error, text } of await all(4)) expect([error, text]).toEqual([null, undisturbed]);
		way.heal();

		// One request in ten finds that its connection breaks.
		const ends: StreamEnd[] = [];
		for (let round = 0; round < 4; round++) {
			const asked = Array.from({ length: 10 }, () => openStream(frontend!, body));
			await Promise.race(asked.map(({ began }) => began));
			way.reset();
			ends.push(...(await Promise.all(asked.map(({ ended }) => ended))));
			await wellAgain();
		}
		const hurt = ends.filter(({ error }) => error !== null);
		for (const { error, text } of hurt) {
			expect(error).toMatch(/"code":"(unavailable|disconnected)"/);
			expect(undisturbed.startsWith(text)).toBe(true);
		}
		for (const { text } of ends.filter(({ error }) => error === null)) expect(text).toBe(undisturbed);

		// Dead, under more requests than it would ever queue: each hears so at once, and nothing is kept for later.
		await nats.kill();
		await eventually("it is missed", async () => (await streamOnce(frontend!, body)).status === 503);
		const before = frontend!.residentMiB;
		const refusedMs: number[] = [];
		for (let round = 0; round < 10; round++) {
			await Promise.all(
				Array.from({ length: 50 }, async () => {
					const began = performance.now();
					expect((await streamOnce(frontend!, body)).status).toBe(503);
					refusedMs.push(performance.now() - began);
				}),
			);
		}
		const grown = frontend!.residentMiB - before;
		await nats.start();
		const backMs = await wellAgain();
		console.log(
			`F12 nats plane: ${hurt.length} of ${ends.length} refused as connections broke; dead: 503 after ${spread(refusedMs)}, ${grown.toFixed(0)} MiB more; serves ${(backMs / 1000).toFixed(1)} s after it came back`,
		);
		expect(percentile(refusedMs, 0.5)).toBeLessThan(1000);
		expect(grown).toBeLessThan(64);
		expect(deployment.processes.every(({ running }) => running)).toBe(true);
	});
});
