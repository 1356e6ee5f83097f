// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from "vitest";
// @boundaries-ignore one helper starts this server for the tests of every package
import { EtcdServer, etcdMissing } from "../../../../../packages/runtime/test/etcd-server.js";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Clients } from "./clients.js";
import { Deployment, untilInstances } from "./deployment.js";
import { greedy, spread } from "./streams.js";

const missing = etcdMissing();
if (missing) console.warn(`etcd outages are not tested: ${missing}`);

const body = greedy("The sea", 8);
const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 1000));

describe.skipIf(missing)("etcd fails under load", () => {
	let etcd: EtcdServer;
	let deployment: Deployment;
	let frontend: DynProcess;
	let clients: Clients;

	beforeEach(async () => {
		etcd = await EtcdServer.start();
		deployment = new Deployment(etcd.endpoint);
		frontend = await deployment.frontend();
		await Promise.all([deployment.worker(), deployment.worker()]);
		await untilInstances(frontend, 2);
		clients = new Clients(new Array(4).fill(frontend), body);
	});

	afterEach(async () => {
		await clients.stop();
		await deployment[Symbol.asyncDispose]();
		await etcd.dispose();
	});

	/** No request failed, all said the same, every process lives and every instance is known. */
	async function allWell(what: string): Promise<void> {
		await clients.untilMoreThan(20);
		await clients.stop();
		console.log(
			`F10 ${what}: ${clients.ends.length} requests, ${spread(clients.ends.map(({ firstTokenMs }) => firstTokenMs))} to the first token`,
		);
		expect(clients.ends.filter(({ error }) => error !== null)).toEqual([]);
		expect(new Set(clients.ends.map(({ text }) => text)).size).toBe(1);
		expect(deployment.processes.every(({ running }) => running)).toBe(true);
		await untilInstances(frontend, 2);
	}

	/** Asks etcd in JSON over HTTP. */
	const ask = async (path: string, question: object) =>
		(await fetch(`${etcd.endpoint}/v3/${path}`, { method: "POST", body: JSON.stringify(question) })).json();
	/** Leases of the keys in etcd. */
	const leases = async (): Promise<string[]> => {
		const [key, range_end] = ["v1/", "v10"].map((text) => Buffer.from(text).toString("base64"));
		const { kvs = [] } = (await ask("kv/range", { key, range_end })) as {
			readonly kvs?: readonly { readonly lease: string }[];
		};
		return kvs.map(({ lease }) => lease);
	};
	const registered = () =>
		eventually(
			"both workers, instance and card each, are in etcd",
			async () => (await leases()).length === 4,
			15_000,
		);

	it("is killed and restarted at once, with and without what it knew", async () => {
		await etcd.kill();
		await etcd.start();
		await registered();
		await etcd.kill();
		await etcd.forget();
		await etcd.start();
		const ms = await registered();
		console.log(`F10 registered ${(ms / 1000).toFixed(1)} s after etcd had come back without data`);
		await allWell("two restarts");
	});

	it("is down for longer than the leases last", async () => {
		await etcd.kill();
		await seconds(13);
		await etcd.start();
		const ms = await registered();
		console.log(`F10 registered ${(ms / 1000).toFixed(1)} s after 13 s without etcd`);
		await allWell("13 s down");
		// What etcd had kept from before is gone when those leases are, and nobody misses it.
		await seconds(1);
		await untilInstances(frontend, 2);
	});

	it("freezes for longer than the leases last", async () => {
		etcd.freeze();
		await seconds(13);
		etcd.thaw();
		await registered();
		await allWell("13 s frozen");
	});

	it("ends the leases of both workers", async () => {
		for (const ID of new Set(await leases())) await ask("lease/revoke", { ID });
		const ms = await registered();
		console.log(`F10 registered ${(ms / 1000).toFixed(1)} s after the leases were revoked`);
		await allWell("leases revoked");
	});
});
