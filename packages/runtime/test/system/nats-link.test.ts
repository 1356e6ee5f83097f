// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectNats } from "@dyn/runtime/nats";
import { nkeys } from "@nats-io/transport-node";
import { describe, expect, it } from "vitest";
import { failure } from "../nats-peer.js";
import { NatsServer, natsServerMissing } from "../nats-server.js";

const missing = natsServerMissing();
if (missing) console.warn(`tests of the connection to NATS skipped: ${missing}`);

describe.skipIf(missing)("connectNats", () => {
	it("connects with user and password, and tells who should check what when they are wrong", async () => {
		await using server = await NatsServer.start("--user", "dyn", "--pass", "right");
		const servers = [server.url];
		const link = await connectNats({ servers, auth: { user: "dyn", password: "right" } });
		expect(link.connected).toBe(true);
		await link.close();
		await (await connectNats({ servers: [server.url.replace("//", "//dyn:right@")] })).close();
		const wrong = await failure(connectNats({ servers, auth: { user: "dyn", password: "wrong" } }));
		expect(wrong.code).toBe("UNAUTHENTICATED");
		expect(wrong.message).toContain(server.url);
		expect(wrong.message).toContain('check the user "dyn" and its password');
		expect(wrong.message).not.toContain("wrong");
		const none = await failure(connectNats({ servers }));
		expect(none.code).toBe("UNAUTHENTICATED");
		expect(none.message).toContain("give user and password, a token");
	});

	it("connects with a token", async () => {
		await using server = await NatsServer.start("--auth", "secret");
		const servers = [server.url];
		await (await connectNats({ servers, auth: { token: "secret" } })).close();
		const wrong = await failure(connectNats({ servers, auth: { token: "guess" } }));
		expect(wrong.message).toMatch(/^\[UNAUTHENTICATED\].*check the token$/);
	});

	it("connects with an nkey, and says when a subscription is not permitted", async () => {
		const user = nkeys.createUser();
		await using folder = await temporaryFolder();
		const config = join(folder.path, "nats.conf");
		await writeFile(
			config,
			`authorization { users: [{ nkey: ${user.getPublicKey()}, permissions: { subscribe: ["allowed", "_INBOX.>"] } }] }`,
		);
		await using server = await NatsServer.start("-c", config);
		const nkey = new TextDecoder().decode(user.getSeed());
		const link = await connectNats({ servers: [server.url], auth: { nkey } });
		await link.subscribe("allowed", () => {});
		const denied = await failure(link.subscribe("forbidden", () => {}));
		expect(denied.message).toMatch(/^\[UNAUTHENTICATED\].*subscribe to forbidden: grant the permission$/);
		await link.close();
	});

	it("says what to do when no server is there", async () => {
		const server = await NatsServer.start();
		await server.kill();
		const error = await failure(connectNats({ servers: [server.url] }));
		expect(error.code).toBe("UNAVAILABLE");
		expect(error.message).toContain("start nats-server or correct the address");
	});
});

describe.skipIf(missing)("a link", () => {
	it("comes back after any number of attempts", async () => {
		await using server = await NatsServer.start();
		const nats = await connectNats({ servers: [server.url] });
		await server.kill();
		await refuseConnections(server.url, 11); // the library's own limit is 10
		const back = new Promise<boolean>((resolve) => nats.onChange((connected) => connected && resolve(true)));
		await server.start();
		await back;
		await nats.close();
	});
});

/** Accepts `count` connections at that address and closes them at once. */
async function refuseConnections(url: string, count: number): Promise<void> {
	const listener = createServer((socket) => {
		socket.destroy();
		if (--count === 0) listener.close();
	});
	listener.listen(Number(new URL(url).port), "127.0.0.1");
	await once(listener, "close");
}

async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
	const path = await mkdtemp(join(tmpdir(), "dyn-nats-"));
	return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
