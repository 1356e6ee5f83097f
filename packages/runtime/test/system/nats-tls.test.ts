// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createRuntime, MemoryStore } from "@dyn/runtime";
import { connectNats, createNatsRequestPlane, type TcpTls } from "@dyn/runtime/nats";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Certificates, issueCertificates } from "../certificates.js";
import { all, failure, Peer } from "../nats-peer.js";
import { NatsServer, natsServerMissing } from "../nats-server.js";

const missing = natsServerMissing();
if (missing) console.warn(`tests of NATS under TLS skipped: ${missing}`);

describe.skipIf(missing)("NATS under TLS", () => {
	let certificates: Certificates;
	let own: { readonly ca: string; readonly cert: string; readonly key: string };
	beforeAll(async () => {
		certificates = await issueCertificates();
		const { pem } = certificates;
		own = { ca: await pem("ca.crt"), cert: await pem("client.crt"), key: await pem("client.key") };
	});
	afterAll(() => certificates[Symbol.asyncDispose]());

	const startServer = (...more: string[]) => {
		const { path } = certificates;
		return NatsServer.start(
			"--tls",
			"--tlscert",
			path("server.crt"),
			"--tlskey",
			path("server.key"),
			...more,
		);
	};
	const startVerifying = () => startServer("--tlsverify", "--tlscacert", certificates.path("ca.crt"));

	it("trusts the given authority and nobody else", async () => {
		await using server = await startServer();
		const servers = [server.url];
		await (await connectNats({ servers, tls: { ca: own.ca } })).close();
		await (
			await connectNats({ servers: [server.url.replace("nats:", "tls:")], tls: { insecure: true } })
		).close();
		const ca = await certificates.pem("other-ca.crt");
		for (const tls of [{ ca }, {}, undefined]) {
			const error = await failure(connectNats({ servers, ...(tls ? { tls } : {}) }));
			expect(error.message).toMatch(
				/^\[UNAUTHENTICATED\] NATS at nats:.* its certificate is not trusted .*give the authority that issued it/,
			);
		}
	});

	it("does not take a certificate for another name", async () => {
		await using server = await startServer();
		const servers = [server.url.replace("127.0.0.1", "localhost")];
		const error = await failure(connectNats({ servers, tls: { ca: own.ca } }));
		expect(error.message).toMatch(/^\[UNAUTHENTICATED\].*its certificate is for another name/);
	});

	it("does not go on without TLS where it was asked for", async () => {
		await using server = await NatsServer.start();
		for (const options of [
			{ servers: [server.url], tls: { ca: own.ca } },
			{ servers: [server.url.replace("nats:", "tls:")] },
		])
			expect((await failure(connectNats(options))).message).toMatch(
				/^\[UNAUTHENTICATED\].*does not offer TLS/,
			);
	});

	it("shows its certificate to a server that asks for one, and says what is wrong without", async () => {
		await using server = await startVerifying();
		const servers = [server.url];
		await (await connectNats({ servers, tls: own })).close();
		const connectTimeoutMs = 500; // the library tries as long
		const none = await failure(connectNats({ servers, connectTimeoutMs, tls: { ca: own.ca } }));
		expect(none.message).toMatch(
			/^\[UNAUTHENTICATED\].*asks for a client certificate, and this process has none/,
		);
		const [cert, key] = [await certificates.pem("other-ca.crt"), await certificates.pem("other-ca.key")];
		const wrong = await failure(connectNats({ servers, connectTimeoutMs, tls: { ca: own.ca, cert, key } }));
		expect(wrong.message).toMatch(/^\[UNAUTHENTICATED\].*does not accept the client certificate/);
	});

	it("brings answers over TLS too, from workers that have a certificate", async () => {
		await using server = await startServer();
		const { ca, cert, key } = own;
		const nats = await connectNats({ servers: [server.url], tls: { ca } });
		const discovery = new MemoryStore();
		const start = (tls?: TcpTls) =>
			createRuntime({
				discovery,
				requestPlanes: [createNatsRequestPlane({ nats, ...(tls ? { tls } : {}) })],
			});
		const [caller, worker, plain] = await Promise.all([
			start({ ca, cert, key }),
			start({ ca, cert, key }),
			start(),
		]);
		const echo = async function* (request: unknown) {
			yield request;
		};
		await worker.endpoint("dyn.backend.generate").serve(echo);
		const served = await plain.endpoint("dyn.plain.generate").serve(echo);
		const ask = (path: string, signal?: AbortSignal) =>
			all(
				caller
					.endpoint(path)
					.client()
					.generate(1, createRequestContext(signal ? { signal } : {})),
			);
		expect(await ask("dyn.backend.generate")).toEqual([1]);
		const never = ask("dyn.plain.generate", AbortSignal.timeout(500));
		await expect(never).rejects.toThrow();
		expect(served.instance.transport.kind).toBe("nats_tcp");
		await Promise.all([caller, worker, plain].map((runtime) => runtime.close()));
		await nats.close();
	});

	it("carries requests and events, also after the server was away", async () => {
		await using server = await startVerifying();
		const discovery = new MemoryStore();
		await using worker = await Peer.start(server, discovery, { tls: own });
		await using caller = await Peer.start(server, discovery, { tls: own });
		await worker.runtime.endpoint("dyn.backend.generate").serve(async function* (request) {
			yield request;
		});
		const client = caller.runtime.endpoint("dyn.backend.generate").client();
		expect(await all(client.generate(1, createRequestContext()))).toEqual([1]);
		await server.kill();
		await Promise.all([worker.becomes(false), caller.becomes(false)]);
		await server.start();
		await Promise.all([worker.becomes(true), caller.becomes(true)]);
		await worker.nats.flush(); // it is subscribed again
		expect(await all(client.generate(2, createRequestContext()))).toEqual([2]);
	});
});
