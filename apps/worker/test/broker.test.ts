// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRuntime, type EventScope, type Runtime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createZmqEventPlane } from "@dyn/runtime/zmq";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DynProcess } from "./dyn-process.js";

let folder: string;
const opened: (() => Promise<unknown>)[] = [];
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "broker-"));
});
afterEach(async () => {
	for (const close of opened.splice(0).reverse()) await close();
	rmSync(folder, { recursive: true });
});

async function startBroker(...args: string[]): Promise<DynProcess> {
	const ports = ["--xsub-bind", "tcp://127.0.0.1:*", "--xpub-bind", "tcp://127.0.0.1:*"];
	const broker = await DynProcess.start(["broker", "--file-kv", folder, ...ports, ...args]);
	opened.push(() => broker[Symbol.asyncDispose]());
	return broker;
}

async function peer(): Promise<Runtime> {
	const discovery = createFileStore({ directory: folder });
	opened.push(() => discovery.close());
	const runtime = await createRuntime({ discovery, eventPlane: createZmqEventPlane({ broker: "discover" }) });
	opened.push(() => runtime.close());
	return runtime;
}

/** Of brokers in discovery. */
const records = () =>
	readdirSync(join(folder, "v1", "event_channels")).filter((name) => name.includes("zmq%5Fbroker"));

it.each(["SIGINT", "SIGTERM"] as const)(
	"forwards events between processes that find it in discovery, and leaves on %s",
	async (signal) => {
		const broker = await startBroker("--namespace", "n");
		expect(records()).toHaveLength(1);
		const scope: EventScope = { namespace: "n" };
		const [sender, receiver] = [await peer(), await peer()];
		const events = (await receiver.events.subscribe(scope, "t"))[Symbol.asyncIterator]();
		const publisher = await sender.events.publish(scope, "t", { replay: 10 });
		// What is sent before the broker has told the publisher who wants it is lost unnoticed, as it is with ZeroMQ.
		const sending = setInterval(() => publisher.send("hello"), 20);
		expect((await events.next()).value).toMatchObject({ payload: "hello" });
		clearInterval(sending);
		broker.kill(signal);
		expect(await broker.exited).toEqual({ code: 0, signal: null });
		expect(records()).toEqual([]);
	},
);

it("says which address it cannot listen on", async () => {
	const [, taken] = /xpub=(\S+)/.exec((await startBroker()).output)!;
	await expect(startBroker("--xpub-bind", taken!)).rejects.toThrow(taken!);
});
