// SPDX-License-Identifier: Apache-2.0
import { connect, type Socket } from "node:net";
import { expect, it } from "vitest";
import { eventually } from "../../server-process.js";
import { Deployment, untilInstances } from "./deployment.js";
import { openStream, paced, streamOnce } from "./streams.js";

it("a frontend without descriptors left keeps its streams, says 503 to others, and answers again when some are free", async () => {
	await using deployment = new Deployment();
	const [frontend] = await Promise.all([
		deployment.frontend([], { maxFiles: 256 }),
		deployment.light(),
		deployment.light(),
	]);
	await untilInstances(frontend!, 2);
	const undisturbed = await streamOnce(frontend!, paced("Count", 250, 0));
	const streams = Array.from({ length: 8 }, () => openStream(frontend!, paced("Count", 250, 20)));
	await Promise.all(streams.map(({ began }) => began));
	const cpuBefore = frontend!.cpuMs;

	let refused = 0;
	const idle: Socket[] = [];
	for (let count = 0; count < 600; count++) {
		const socket = connect(frontend!.port, "127.0.0.1");
		socket.on("error", () => {});
		socket.once("data", (bytes) => {
			if (bytes.toString().startsWith("HTTP/1.1 503 ")) refused++;
		});
		idle.push(socket);
	}
	await eventually("nearly every second of them was refused", async () => refused > 250);
	// Nobody hangs, nobody is cut off without an answer, however often they come.
	const late = await Promise.all(
		Array.from({ length: 50 }, () => streamOnce(frontend!, paced("Count", 3, 0))),
	);
	for (const { status, error } of late) {
		expect(status).toBe(503);
		expect(error).toContain("too many connections");
	}
	expect(frontend!.openFiles).toBeLessThan(256);
	// Its streams run on meanwhile, and it does not spin over connections that it cannot take.
	for (const { error, text } of await Promise.all(streams.map(({ ended }) => ended))) {
		expect(error).toBe(null);
		expect(text).toBe(undisturbed.text);
	}
	const cpuMs = frontend!.cpuMs - cpuBefore;
	for (const socket of idle) socket.destroy();
	const ms = await eventually(
		"it answers again",
		async () => (await streamOnce(frontend!, paced("Count", 3, 0))).error === null,
	);
	console.log(
		`F19 out of descriptors: ${refused} of 600 refused, ${cpuMs} ms of CPU in 5 s; answers again after ${ms.toFixed(0)} ms`,
	);
	expect(cpuMs).toBeLessThan(3000);
	expect(frontend!.running).toBe(true);
});
