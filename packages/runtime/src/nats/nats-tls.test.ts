// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { otherSelfSigned, selfSigned } from "../request-plane/__fixtures__/self-signed.js";
import { libraryTls, type NatsTls } from "./nats-tls.js";

const pair = { cert: String(selfSigned().cert), key: String(selfSigned().key) };

describe("libraryTls", () => {
	it("verifies the server unless it is told not to", () => {
		expect(libraryTls(pair, [])).toMatchObject({ ...pair, rejectUnauthorized: true });
		expect(libraryTls({ insecure: true }, [])).toMatchObject({ rejectUnauthorized: false });
	});

	it("refuses half a pair, a key of another certificate, and what is no PEM", () => {
		const refused = (tls: NatsTls, why: RegExp) => expect(() => libraryTls(tls, [])).toThrow(why);
		refused({ cert: pair.cert }, /^\[INVALID_ARGUMENT\].*needs its key/);
		refused({ key: pair.key }, /^\[INVALID_ARGUMENT\].*its certificate/);
		refused({ ...pair, key: String(otherSelfSigned().key) }, /^\[INVALID_ARGUMENT\].*belong together/);
		refused({ ca: "-----BEGIN CERTIFICATE-----\nnonsense" }, /^\[INVALID_ARGUMENT\].*PEM/);
	});
});
