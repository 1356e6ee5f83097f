// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { parseZmqBrokerUrl } from "./broker-endpoints.js";

it("reads Dynamo's form, in either order", () => {
	const both = { xsub: ["tcp://a:1", "tcp://b:1"], xpub: ["tcp://a:2", "tcp://b:2"] };
	expect(parseZmqBrokerUrl("xsub=tcp://a:1;tcp://b:1 , xpub=tcp://a:2;tcp://b:2")).toEqual(both);
	expect(parseZmqBrokerUrl("xpub=tcp://a:2; tcp://b:2,xsub=tcp://a:1;tcp://b:1;")).toEqual(both);
});

it.each(["", "tcp://a:1", "xsub=tcp://a:1", "xsub=,xpub=tcp://a:2", "xsub=a,xpub=b,xsub=c,other=d"])(
	"refuses %j",
	(text) => {
		expect(() => parseZmqBrokerUrl(text)).toThrow("[INVALID_ARGUMENT]");
	},
);
