// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as library from "@nats-io/transport-node";
import { describe, expect, it } from "vitest";
import { createAuthenticator, describeAuth } from "./nats-options.js";

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
