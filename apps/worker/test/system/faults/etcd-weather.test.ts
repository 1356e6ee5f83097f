// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
// @boundaries-ignore one helper starts this server for the tests of every package
import { EtcdServer, etcdMissing } from "../../../../../packages/runtime/test/etcd-server.js";
import { ChaosProxy } from "../../chaos-proxy.js";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Clients } from "./clients.js";
import { Deployment, instancesOf, untilInstances } from "./deployment.js";
import { EtcdRecords } from "./etcd-records.js";
import { paced, spread, streamOnce } from "./streams.js";

const missing = etcdMissing();
if (missing) console.warn(`the way to etcd is not tested: ${missing}`);

const TTL_MS = 10_000;

/** "host:port" of an instance's record. */
function addressOf(record: string): string {
	const { tcp } = JSON.parse(record).transport as { readonly tcp: string };
	return tcp.slice(0, tcp.indexOf("/"));
}

/** Whether somebody listens there. */
async function accepts(address: string): Promise<boolean> {
	const { hostname, port } = new URL(`tcp://${address}`);
	const socket = connect(Number(port), hostname);
	const isOpen = await once(socket, "connect").then(
		() => true,
		() => false,
	);
	socket.destroy();
	return isOpen;
}

describe.skipIf(missing)("between the fleet and etcd", () => {
	let etcd: EtcdServer;
	let records: EtcdRecords;
	/** What the frontend has of etcd, and what the workers have. */
	let frontendsWay: ChaosProxy;
	let workersWay: ChaosProxy;
	let fleet: Deployment;
	let workers: Deployment;
	let frontend: DynProcess;
	let undisturbed: string;
	let clients: Clients;

	beforeEach(async () => {
		etcd = await EtcdServer.start();
		records = new EtcdRecords(etcd.endpoint);
		const address = new URL(etcd.endpoint).host;
		[frontendsWay, workersWay] = await Promise.all([ChaosProxy.start(address), ChaosProxy.start(address)]);
		fleet = new Deployment(`http://${frontendsWay.address}`);
		workers = new Deployment(`http://${workersWay.address}`);
		[frontend] = await Promise.all([fleet.frontend(), workers.light(), workers.light()]);
		await untilInstances(frontend, 2);
		undisturbed = (await streamOnce(frontend, paced("Count", 10, 0))).text;
		clients = new Clients(new Array(4).fill(frontend), paced("Count", 10, 10));
	});

	afterEach(async () => {
		for (const way of [frontendsWay, workersWay]) way.heal();
		await clients.stop();
		await Promise.all([fleet[Symbol.asyncDispose](), workers[Symbol.asyncDispose]()]);
		await Promise.all([frontendsWay[Symbol.asyncDispose](), workersWay[Symbol.asyncDispose]()]);
		await etcd.dispose();
	});

	async function moreRequests(count: number): Promise<void> {
		const before = clients.ends.length;
		await eventually(`${count} more requests`, async () => clients.ends.length > before + count);
	}

	async function allWell(what: string, instances: number): Promise<void> {
		await clients.stop();
		console.log(
			`${what}: ${clients.ends.length} requests, ${spread(clients.ends.map(({ firstTokenMs }) => firstTokenMs))} to the first token`,
		);
		for (const { error, text } of clients.ends) {
			expect(error).toBe(null);
			expect(text).toBe(undisturbed);
		}
		await untilInstances(frontend, instances, 2 * TTL_MS); // a dead one's lease ends, then it is still told for a while
	}

	it("answers take 5 s: nobody is missed, and who comes then is seen once it is better", async () => {
		for (const way of [frontendsWay, workersWay]) way.down.latencyMs = 5000;
		const slow = performance.now();
		const starting = workers.light();
		const known: number[] = [];
		await eventually(
			"leases that nobody kept alive had ended",
			async () => {
				known.push((await instancesOf(frontend)).length);
				return performance.now() - slow > 1.5 * TTL_MS;
			},
			2 * TTL_MS,
		);
		expect(Math.min(...known)).toBe(2);
		for (const way of [frontendsWay, workersWay]) way.heal();
		await starting;
		const backMs = await untilInstances(frontend, 3, 2 * TTL_MS);
		await eventually("all three are in etcd", async () => (await records.list("v1/")).length === 6, TTL_MS);
		console.log(`F10 the newcomer was known ${(backMs / 1000).toFixed(1)} s after etcd was well again`);
		await allWell("F10 etcd slow by 5 s", 3);
		expect([...fleet.processes, ...workers.processes].every(({ running }) => running)).toBe(true);
	});

	it("the frontend's watch is cut while somebody leaves, somebody comes and etcd forgets its history", async () => {
		frontendsWay.blackhole();
		const [leaving] = workers.processes;
		leaving!.kill("SIGKILL");
		await leaving!.exited;
		for (const { lease } of (await records.list("v1/instances/")).slice(0, 1)) await records.revoke(lease);
		const come = await workers.light();
		await eventually("its keys are there", async () => (await records.list("v1/")).length >= 4);
		await records.compact();
		frontendsWay.heal();
		await eventually("the new worker has requests", async () => come.output.includes("begin "), TTL_MS);
		// Connections break again and again; what happens meanwhile is not missed either.
		for (let count = 0; count < 3; count++) {
			frontendsWay.reset();
			const next = await workers.light();
			await eventually("the next has requests", async () => next.output.includes("begin "), TTL_MS);
		}
		// The one that was killed goes with its lease, the one whose lease was revoked has come again.
		await allWell("F11 watch cut, history gone", 5);
	});

	it("for a while etcd has only a dead worker: the living one lost its lease", async () => {
		const [leaving] = workers.processes;
		leaving!.kill("SIGKILL");
		await leaving!.exited;
		const both = await records.list("v1/instances/");
		const answering = await Promise.all(both.map(({ value }) => accepts(addressOf(value))));
		expect(answering.filter(Boolean)).toHaveLength(1);
		workersWay.blackhole();
		await records.revoke(both[answering.indexOf(true)]!.lease);
		expect(await records.list("v1/instances/")).toHaveLength(1);
		await moreRequests(40);
		workersWay.heal();
		await allWell("F11 only the dead one is listed", 1);
	});

	it("a worker moves to another address under its key, and follows within a second", async () => {
		const [record] = await records.list("v1/instances/");
		const address = addressOf(record!.value);
		await using moved = await ChaosProxy.start(address);
		await records.put({ ...record!, value: record!.value.replace(address, moved.address) });
		const ms = await eventually("requests take the new way", async () => moved.connections > 0, 1000);
		console.log(`F11 changed address in use after ${ms.toFixed(0)} ms`);
		await moreRequests(20);
		moved.reset();
		await moreRequests(20);
		await allWell("F11 changed address", 2);
	});

	it("records become null, rubbish or empty, and the last good ones stay", async () => {
		const good = await records.list("v1/");
		expect(good).toHaveLength(4);
		for (const value of ["null", "{", "", "[]", '{"type":"Endpoint","transport":null}', "\u0000\ufffd"]) {
			for (const record of good) await records.put({ ...record, value });
			await moreRequests(20);
			expect((await instancesOf(frontend)).length).toBe(2);
		}
		for (const record of good) await records.put(record);
		const late = await workers.light();
		await eventually("somebody new is seen beside them", async () => late.output.includes("begin "));
		await allWell("F11 rubbish", 3);
	});
});
