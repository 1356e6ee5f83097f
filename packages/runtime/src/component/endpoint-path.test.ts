// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { formatEndpointPath, parseEndpointPath } from "./endpoint-path.js";

describe("endpoint paths", () => {
	it("are parsed and written", () => {
		expect(formatEndpointPath(parseEndpointPath("dyn://a.b-1.c_2"))).toBe("dyn://a.b-1.c_2");
		expect(parseEndpointPath("a.b.c")).toEqual({ namespace: "a", component: "b", endpoint: "c" });
	});
	it.each(["dyn://a.b", "dyn://a.b.c.d", "dyn://a..c", "dyn://a.b/x.c", ""])("refuse %j", (text) => {
		expect(() => parseEndpointPath(text)).toThrow(DynError);
	});
});
