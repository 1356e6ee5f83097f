#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Stands in for trtllm-serve: 20 ms for each token. SIGUSR2 makes it hang, and still say that it is well.
import { parseArgs } from "node:util";
import { createMockerEngine, MockerFaults } from "@dyn/mocker";
import { createTrtllmDouble } from "@dyn/mocker/openengine";

const { values, positionals } = parseArgs({
	allowPositionals: true,
	strict: false,
	options: Object.fromEntries(
		["host", "port", "max_seq_len", "grpc-protocol", "backend", "config", "extra_llm_api_options"].map((name) => [
			name,
			{ type: "string" },
		]),
	),
});
const faults = new MockerFaults();
faults.slow(20);
process.on("SIGUSR2", () => faults.hang());
await createTrtllmDouble({
	engine: createMockerEngine({
		modelName: positionals[0],
		speedupRatio: 0,
		maxModelLen: Number(values.max_seq_len),
		faults,
	}),
	quirks: { noContextLength: false },
	host: values.host,
	port: Number(values.port),
});
