// SPDX-License-Identifier: Apache-2.0
import { type ConformanceSubject, conformanceCases } from "@dyn/engine/conformance";
import { createMockerEngine } from "@dyn/mocker";
import { createTrtllmDouble } from "@dyn/mocker/openengine";
import { createTrtllmWorker } from "@dyn/trtllm";
import { describe, it } from "vitest";

/** As other engines are held against the contract, with TensorRT-LLM's double behind real gRPC. */
describe("the engine of a TensorRT-LLM worker", () => {
	it.each(conformanceCases)("$name", async ({ run }) => {
		await using double = await createTrtllmDouble({
			engine: createMockerEngine({ vocabSize: 1000, maxModelLen: 1024, speedupRatio: 20 }),
			quirks: { noGreedyChoices: false },
		});
		await using worker = await createTrtllmWorker({
			engine: "trtllm",
			trtllm: {
				grpcEndpoint: double.address,
				serve: { maxSeqLen: 1024 },
				environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
			},
		});
		const { engine, info } = worker;
		await run({ engine, info } satisfies ConformanceSubject);
	});
});
