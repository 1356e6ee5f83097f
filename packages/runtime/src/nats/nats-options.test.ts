// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as library from "@nats-io/transport-node";
import { describe, expect, it } from "vitest";
import { createAuthenticator, describeAuth, parseServers } from "./nats-options.js";

const user = library.nkeys.createUser();
const seed = new TextDecoder().decode(user.getSeed());

describe("createAuthenticator", () => {
	it("signs with an nkey", async () => {
		const answer = (await createAuthenticator({ nkey: seed }, library))("nonce");
		expect(answer).toMatchObject({ nkey: user.getPublicKey(), sig: expect.any(String) });
	});

	it("signs with a credentials file and sends its JWT", async () => {
		const folder = await mkdtemp(join(tmpdir(), "dyn-nats-"));
		const credentialsFile = join(folder, "dyn.creds");
		const rule = (what: string) => `-----${what}-----`;
		const lines = [
			[rule("BEGIN NATS USER JWT"), "header.claims.signature", rule("END NATS USER JWT")],
			["", rule("BEGIN USER NKEY SEED"), seed, rule("END USER NKEY SEED"), ""],
		];
		await writeFile(credentialsFile, lines.flat().join("\n"));
		const answer = (await createAuthenticator({ credentialsFile }, library))("nonce");
		expect(answer).toMatchObject({ jwt: "header.claims.signature", nkey: user.getPublicKey() });
		await rm(folder, { recursive: true });
	});

	it("names what cannot be used, and shows no secret", async () => {
		await expect(createAuthenticator({ nkey: "SUSECRET" }, library)).rejects.toThrow(
			/^\[INVALID_ARGUMENT\] the NATS nkey seed cannot be used: (?!.*SECRET).*; give what nsc or nk generated$/,
		);
		await expect(createAuthenticator({ credentialsFile: "/nowhere/dyn.creds" }, library)).rejects.toThrow(
			/^\[INVALID_ARGUMENT\] the NATS credentials file \/nowhere\/dyn\.creds cannot be used: ENOENT/,
		);
	});
});

describe("describeAuth", () => {
	it("says what to check and shows no secret", () => {
		const ways = [
			{ user: "dyn", password: "SECRET" },
			{ token: "SECRET" },
			{ nkey: "SECRET" },
			{ credentialsFile: "dyn.creds" },
		];
		for (const auth of ways) {
			expect(describeAuth(auth)).toMatch(/^check /);
			expect(describeAuth(auth)).not.toContain("SECRET");
		}
		expect(describeAuth(undefined)).toContain("wants authentication");
	});
});

describe("parseServers", () => {
	it("takes hosts with and without scheme, blanks and brackets", () => {
		const servers = ["nats://a:4222", " b:4333", "[::1]:4444", "nats://c"];
		expect(parseServers(servers)).toEqual({
			urls: ["nats://a:4222", "nats://b:4333", "nats://[::1]:4444", "nats://c"],
			hosts: ["a", "b", "::1", "c"],
			auth: undefined,
			wantTls: false,
		});
		expect(parseServers(["tls://a:4222"])).toMatchObject({ urls: ["nats://a:4222"], wantTls: true });
	});

	it("takes credentials out of the URL", () => {
		expect(parseServers(["nats://dyn:p%40ss@a:4222", "nats://dyn:p%40ss@b:4222"])).toMatchObject({
			urls: ["nats://a:4222", "nats://b:4222"],
			auth: { user: "dyn", password: "p@ss" },
		});
		expect(parseServers(["nats://t0ken@a"])).toMatchObject({ urls: ["nats://a"], auth: { token: "t0ken" } });
	});

	it("refuses what is no URL without repeating it", () => {
		for (const wrong of ["nats://dyn:secret@", "nats://dyn:secret@a:port", "nats://dyn:sec%ret@a", ""])
			expect(() => parseServers(["nats://a", wrong])).toThrow(
				"[INVALID_ARGUMENT] NATS server 2 of 2 is no URL of the form nats://host:port",
			);
	});
});
