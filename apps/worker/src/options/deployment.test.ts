// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noMetrics, noTracer, parseOptions, silentLogger } from "@dyn/common";
import { createFileStore } from "@dyn/runtime/file";
import { announceZmqBroker, createZmqBroker } from "@dyn/runtime/zmq";
import { afterEach, beforeEach, expect, it } from "vitest";
import { FRONTEND, WORKER } from "./commands.js";
import { type Deployment, joinDeployment } from "./deployment.js";

const scope = { namespace: "dynamo", component: "backend" };
const opened: (() => Promise<unknown>)[] = [];
let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-deployment-"));
	opened.push(() => rm(folder, { recursive: true, force: true }));
});
afterEach(async () => {
	for (const close of opened.splice(0).reverse()) await close();
});

async function joinAs(
	{ options }: typeof WORKER,
	argv: string[],
	env: Record<string, string> = {},
): Promise<Deployment> {
	const { values } = parseOptions(options, ["--file-kv", folder, ...argv], env);
	const tools = { logger: silentLogger, metrics: noMetrics, tracer: noTracer };
	const deployment = await joinDeployment(values, tools);
	opened.push(() => deployment.close());
	return deployment;
}

it("finds the broker of events through discovery, or at the given address", async () => {
	const broker = await createZmqBroker({ xsubBind: "tcp://127.0.0.1:*", xpubBind: "tcp://127.0.0.1:*" });
	opened.push(() => broker.close());
	const store = await createFileStore({ directory: folder });
	opened.push(() => store.close());
	const endpoints = { xsub: [broker.xsub], xpub: [broker.xpub] };
	await announceZmqBroker({ store, namespace: scope.namespace, endpoints });
	const worker = await joinAs(WORKER, ["--zmq-broker-enabled"]);
	const finding = await joinAs(FRONTEND, [], { DYN_ZMQ_BROKER_ENABLED: "1" });
	const url = `xsub=${broker.xsub} , xpub=${broker.xpub}`;
	const knowing = await joinAs(FRONTEND, [], { DYN_ZMQ_BROKER_URL: url });
	const subscriptions = await Promise.all(
		[finding, knowing].map(({ runtime }) => runtime.events.subscribe(scope, "kv-events")),
	);
	const publisher = await worker.runtime.events.publish(scope, "kv-events", { replay: 10 });
	for (const payload of ["first", "second"]) publisher.send(payload);
	for (const subscription of subscriptions) {
		const events = subscription[Symbol.asyncIterator]();
		for (const payload of ["first", "second"])
			expect((await events.next()).value).toMatchObject({ payload, missed: 0n });
	}
});

it("says which option names no broker, and which file is no certificate", async () => {
	await expect(joinAs(WORKER, ["--zmq-broker-url", "tcp://a:1"])).rejects.toThrow("names no broker");
	const ca = join(folder, "ca.pem");
	const tls = joinAs(WORKER, ["--request-plane", "nats"], { NATS_TLS_CA_CERT_PATH: ca });
	await expect(tls).rejects.toThrow(`${ca} cannot be read`);
});
