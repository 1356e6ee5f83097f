// SPDX-License-Identifier: Apache-2.0
import { parseOptions } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { optionsWithoutEffect, serveOptions } from "./serve-options.js";
import { trtllm } from "./tables/trtllm.js";

const read = (argv: readonly string[], env: Record<string, string> = {}) =>
	serveOptions(parseOptions(trtllm, argv, env).values, env);

describe("the table", () => {
	it.each([
		["model", "DYN_TRTLLM_MODEL"],
		["model-path", "DYN_TRTLLM_MODEL"],
		["tensor-parallel-size", "DYN_TRTLLM_TENSOR_PARALLEL_SIZE"],
		["enable-attention-dp", "DYN_TRTLLM_ENABLE_ATTENTION_DP"],
		["conversation-affinity", "DYN_ENGINE_CONV_AFFINITY"],
		["free-gpu-memory-fraction", "DYN_TRTLLM_FREE_GPU_MEMORY_FRACTION"],
		["publish-events-and-metrics", "DYN_TRTLLM_PUBLISH_EVENTS_AND_METRICS"],
		["dit-ulysses-size", "DYN_TRTLLM_DIT_ULYSSES_SIZE"],
		["default-num-images-per-prompt", "DYN_TRTLLM_DEFAULT_NUM_IMAGES_PER_PROMPT"],
		["trtllm-python", "DYN_TRTLLM_PYTHON"],
	])("has --%s as %s", (flag, variable) =>
		expect(trtllm.find(({ flags }) => flags.includes(flag))?.env?.[0]).toBe(variable),
	);

	it("has each key, flag and variable once", () => {
		for (const names of [
			trtllm.map(({ name }) => name),
			trtllm.flatMap(({ flags }) => flags),
			trtllm.flatMap(({ env }) => env ?? []),
		])
			expect(new Set(names).size).toBe(names.length);
	});

	it.each([
		["--engine-dir", "/engines", "after TensorRT-LLM 1.3.0rc20; pass the checkpoint with --model"],
		["--disaggregation-strategy", "both", "one of prefill_first, decode_first"],
		["--disaggregation-mode", "prefill_and_decode", "one of agg, pd, prefill, decode, encode"],
		["--free-gpu-memory-fraction", "0", "from 0.001 to 1"],
		["--default-num-images-per-prompt", "11", "from 1 to 10"],
	])("refuses %s %s", (flag, value, message) => expect(() => read([flag, value])).toThrow(message));
});

describe("serveOptions", () => {
	it("knows Dynamo's old names", async () => {
		expect(
			await read(["--disagg-mode", "prefill", "--disaggregation-strategy", "decode_first"]),
		).toMatchObject({ disaggregationMode: "prefill" });
	});

	it("takes variables, lets flags win, and negates", async () => {
		const env = {
			DYN_TRTLLM_MAX_SEQ_LEN: "4096",
			DYN_TRTLLM_PUBLISH_KV_EVENTS: "1",
			DYN_TRTLLM_MODEL: "a/b",
		};
		expect(await read(["--max-seq-len", "8192", "--no-publish-kv-events"], env)).toMatchObject({
			model: "a/b",
			maxSeqLen: 8192,
			publishKvEvents: false,
			environment: env,
		});
	});

	it("keeps the two publishers apart, and knows the old flag for both", async () => {
		expect(await read(["--publish-kv-events"])).toMatchObject({
			publishKvEvents: true,
			publishMetrics: undefined,
		});
		expect(await read(["--publish-metrics"])).toMatchObject({
			publishKvEvents: undefined,
			publishMetrics: true,
		});
		expect(await read(["--publish-events-and-metrics"])).toMatchObject({
			publishKvEvents: true,
			publishMetrics: true,
		});
	});

	it.each([
		[{}, undefined],
		[{ OTEL_EXPORT_ENABLED: "1" }, undefined],
		[{ OTEL_EXPORT_ENABLED: "1", DYN_LOGGING_JSONL: "true" }, "http://localhost:4317"],
		[
			{
				OTEL_EXPORT_ENABLED: "1",
				DYN_LOGGING_JSONL: "1",
				OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://c:4317",
			},
			"http://c:4317",
		],
	])("with %j sends the engine's spans to %s", async (env, endpoint) =>
		expect((await read([], env as Record<string, string>)).otlpTracesEndpoint).toBe(endpoint),
	);

	it("takes media in by either flag, and not in and out at once", async () => {
		expect((await read(["--enable-multimodal"])).modality).toBe("multimodal");
		expect((await read(["--modality", "video_diffusion"])).modality).toBe("video_diffusion");
		await expect(read(["--enable-multimodal", "--modality", "image_diffusion"])).rejects.toThrow(
			"leave one out",
		);
	});

	it("says what is wrong with JSON, YAML and dynamic flags", async () => {
		await expect(read(["--override-engine-args", "[1]"])).rejects.toThrow("must be a JSON object");
		await expect(read(["--extra-engine-args", "absent.yaml"])).rejects.toThrow("absent.yaml");
		await expect(serveOptions({ trtllmArgs: ["--trtllm.max_seq_len"] }, {})).rejects.toThrow(
			"--trtllm.max_seq_len needs a value",
		);
	});
});

it("knows which options do not reach the engine, by keys that the table has", () => {
	const { values } = parseOptions(
		trtllm,
		["--quant-algo", "FP8", "--max-batch-size", "1", "--no-quant-dynamic"],
		{},
	);
	expect(optionsWithoutEffect(values)).toEqual(["quantAlgo", "quantDynamic"]);
	const every = Object.fromEntries(trtllm.map(({ name }) => [name, true]));
	expect(optionsWithoutEffect(every)).toHaveLength(17);
});
