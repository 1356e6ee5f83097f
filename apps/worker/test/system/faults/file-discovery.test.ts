// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Clients } from "./clients.js";
import { Deployment, untilInstances } from "./deployment.js";
import { paced } from "./streams.js";

/** Longer than a process may show no life. */
const longerThanTheLease = () => new Promise((resolve) => setTimeout(resolve, 12_000));

let deployment: Deployment;
let frontend: DynProcess;
let clients: Clients | null;

async function deploy(): Promise<void> {
	[frontend] = await Promise.all([deployment.frontend(), deployment.light(), deployment.light()]);
	await untilInstances(frontend!, 2);
	clients = new Clients(new Array(4).fill(frontend), paced("Count", 10, 10));
}

beforeEach(() => {
	deployment = new Deployment();
	clients = null;
});
afterEach(async () => {
	await clients?.stop();
	await deployment[Symbol.asyncDispose]();
});

async function noneFailed(): Promise<void> {
	await clients!.untilMoreThan(20);
	await clients!.stop();
	expect(clients!.ends.filter(({ error }) => error !== null)).toEqual([]);
	expect(deployment.processes.every(({ running }) => running)).toBe(true);
	await untilInstances(frontend, 2, 15_000);
}

it("keeps the routes when records are torn, and takes no notice of litter", async () => {
	await deploy();
	const folder = join(deployment.folder, "v1", "instances");
	const [first, second] = readdirSync(folder);
	const record = readFileSync(join(folder, first!), "utf8");
	writeFileSync(join(folder, first!), record.slice(0, record.length / 2));
	writeFileSync(join(folder, second!), "");
	writeFileSync(join(folder, ".tmp_abc"), "half a rec");
	writeFileSync(join(folder, "dynamo%2Fbackend%2Fgenerate%2Fff"), "{");
	mkdirSync(join(folder, "dynamo%2Fbackend%2Fgenerate%2Ffe"));
	const before = clients!.ends.length;
	await eventually("more requests", async () => clients!.ends.length > before + 100);
	await untilInstances(frontend, 2);
	await noneFailed();
});

/** A folder on a small disk of its own, or why there is none. */
function mountSmallDisk(folder: string): string | null {
	try {
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], { stdio: "pipe" });
		return null;
	} catch (error) {
		return `this user cannot mount a small disk: ${(error as Error).message.split("\n").at(-1)}`;
	}
}

it("keeps the routes while the disk is full, and shows who comes then once there is room", async ({
	skip,
}) => {
	const cannot = mountSmallDisk(deployment.folder);
	if (cannot) return skip(cannot);
	try {
		await deploy();
		const filler = join(deployment.folder, "filler");
		for (let size = 1 << 17; size >= 1; size >>= 1) {
			try {
				writeFileSync(filler, Buffer.alloc(size), { flag: "a" });
			} catch {
				// too much: half of it
			}
		}
		const late = deployment.light();
		await longerThanTheLease();
		await untilInstances(frontend, 2);
		rmSync(filler);
		await late;
		await untilInstances(frontend, 3, 15_000);
		await clients!.stop();
		expect(clients!.ends.filter(({ error }) => error !== null)).toEqual([]);
		expect(deployment.processes.every(({ running }) => running)).toBe(true);
	} finally {
		await Promise.all(deployment.processes.map((each) => each[Symbol.asyncDispose]()));
		execFileSync("umount", [deployment.folder]);
	}
});

it("keeps the routes while the folder is read-only", async ({ skip }) => {
	const cannot = mountSmallDisk(deployment.folder);
	if (cannot) return skip(cannot);
	try {
		await deploy();
		execFileSync("mount", ["-o", "remount,ro", deployment.folder]);
		await longerThanTheLease();
		await untilInstances(frontend, 2);
		execFileSync("mount", ["-o", "remount,rw", deployment.folder]);
		await noneFailed();
	} finally {
		await Promise.all(deployment.processes.map((each) => each[Symbol.asyncDispose]()));
		execFileSync("umount", [deployment.folder]);
	}
});
