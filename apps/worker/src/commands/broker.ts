// SPDX-License-Identifier: Apache-2.0
import { announceZmqBroker, createZmqBroker } from "@dyn/runtime/zmq";
import { openStore } from "../options/deployment.js";
import type { Values } from "../options/values.js";
import { untilSignal } from "../terminal/shutdown.js";
import { terminalLogger } from "../terminal/terminal.js";

/** A broker between the event planes of a namespace, found through discovery. */
export async function broker(values: Values): Promise<number> {
	const logger = terminalLogger(values);
	const host = (values["tcpHost"] as string | undefined) ?? "127.0.0.1";
	const address = host.includes(":") ? `[${host}]` : host;
	const namespace = (values["namespace"] as string | undefined) ?? "dynamo";
	const forwarding = await createZmqBroker({
		xsubBind: (values["xsubBind"] as string | undefined) ?? `tcp://${address}:5555`,
		xpubBind: (values["xpubBind"] as string | undefined) ?? `tcp://${address}:5556`,
	});
	const opened: { close(): Promise<void> }[] = [forwarding];
	/** Leaves discovery first. */
	const close = async () => {
		for (const each of opened.splice(0).reverse()) await each.close();
	};
	try {
		const store = await openStore(values, logger.child({ target: "dyn::runtime" }));
		opened.push(store);
		const endpoints = { xsub: [reachable(forwarding.xsub)], xpub: [reachable(forwarding.xpub)] };
		const withdraw = await announceZmqBroker({ store, namespace, endpoints });
		opened.push({ close: withdraw });
		process.stdout.write(
			`the broker of ${namespace} is served at xsub=${endpoints.xsub} , xpub=${endpoints.xpub}\n`,
		);
	} catch (error) {
		await close();
		throw error;
	}
	return untilSignal(close, close, 10, logger, forwarding.closed);

	/** Where others reach what listens on every address of this machine. */
	function reachable(url: string): string {
		return url.replace(/\/\/(?:0\.0\.0\.0|\[::\]|\*):/, `//${address}:`);
	}
}
