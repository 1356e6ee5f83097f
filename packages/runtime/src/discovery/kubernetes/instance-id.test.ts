// SPDX-License-Identifier: Apache-2.0
import { expect, test } from "vitest";
import { kubernetesInstanceId } from "./instance-id.js";

test.each([
	// Computed with Rust's DefaultHasher.
	["worker-0", 1186445869714687n],
	["worker-99999", 7410589986301036n],
	["fake-name-1-0-worker-nrdfv", 1009006049675451n],
	["deployment-with-hash-suffix-a1b2c3d4e5f6", 2590930466072916n],
])("the instance id of %s is the one that Dynamo computes", (name, id) => {
	expect(kubernetesInstanceId(name)).toBe(id);
});
