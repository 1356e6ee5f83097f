#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Stands in for trtllm-serve in each of its protocols: 20 ms for each token. SIGUSR2 makes it hang, and still say that it
// is well.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createMockerEngine, MockerFaults } from "@dyn/mocker";
import { createHttpDouble } from "@dyn/mocker/http";
import { createTrtllmDouble } from "@dyn/mocker/openengine";
import { createSmgDouble } from "@dyn/mocker/smg";

const { values, positionals } = parseArgs({
	allowPositionals: true,
	strict: false,
	options: {
		...Object.fromEntries(
			["host", "port", "max_seq_len", "grpc-protocol", "backend", "config", "extra_llm_api_options"].map((name) => [
				name,
				{ type: "string" },
			]),
		),
		grpc: { type: "boolean" },
	},
});
const [model] = positionals;
const faults = new MockerFaults();
faults.slow(20);
process.on("SIGUSR2", () => faults.hang());
const engine = {
	modelName: model,
	speedupRatio: 0,
	vocabSize: JSON.parse(readFileSync(join(model, "config.json"), "utf8")).vocab_size,
	maxModelLen: Number(values.max_seq_len),
	faults,
};
const where = { host: values.host, port: Number(values.port) };
if (!values.grpc) await createHttpDouble({ engine, ...where });
else if (values["grpc-protocol"] === "smg") await createSmgDouble({ engine: createMockerEngine(engine), ...where });
else
	await createTrtllmDouble({ engine: createMockerEngine(engine), quirks: { noContextLength: false }, ...where });
