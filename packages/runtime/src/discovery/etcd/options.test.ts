// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { expect, test } from "vitest";
import { type EtcdStoreOptions, resolveOptions } from "./options.js";

test("leaves time for two more tries within a lease", () => {
	const { leaseTtlSeconds, keepAliveMs, callTimeoutMs } = resolveOptions({});
	expect(leaseTtlSeconds).toBe(10);
	expect(keepAliveMs + callTimeoutMs).toBeLessThan(leaseTtlSeconds * 1000);
});

test.each<[string, EtcdStoreOptions]>([
	["no endpoint", { endpoints: [] }],
	["mixed endpoints", { endpoints: ["http://a:1", "https://b:1"] }],
	["TLS without https", { endpoints: ["http://a:1"], tls: { ca: "" } }],
	["a certificate without its key", { endpoints: ["https://a:1"], tls: { cert: "" } }],
	["no time to live", { leaseTtlSeconds: 0 }],
	["half a second", { leaseTtlSeconds: 2.5 }],
])("refuses %s", (_name, options) => {
	expect(() => resolveOptions(options)).toThrow(DynError);
});
