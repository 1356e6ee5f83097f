// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { DynError } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { TRAPS } from "./__fixtures__/traps.js";
import { assertServeConfiguration, checkServeConfiguration } from "./check-serve-configuration.js";
import type { EngineFacts } from "./checks/finding.js";
import type { ServeOptions } from "./serve-options.js";

const SOUND: ServeOptions = { model: "m", port: 1, maxSeqLen: 4096 };
const sound = (options: Partial<ServeOptions>) =>
	checkServeConfiguration({ ...SOUND, ...options }, { version: "1.3.0rc27", openEngine: true }).filter(
		({ severity }) => severity !== "advice",
	);

describe("a sound configuration has no findings", () => {
	it.each<[string, Partial<ServeOptions>]>([
		["aggregated", {}],
		[
			"over HTTP, with everything published",
			{ protocol: "http", publishKvEvents: true, publishMetrics: true },
		],
		["with streamed events", { publishKvEvents: true, kvEventsEndpoint: "tcp://127.0.0.1:5557" }],
		[
			"decode over several nodes, with its own NIXL plugins and EFA",
			{
				disaggregationMode: "decode",
				tensorParallelSize: 16,
				gpusPerNode: 8,
				extraEngineArgs: { cache_transceiver_config: { kv_transfer_timeout_ms: 60_000 } },
				environment: {
					NIXL_PLUGIN_DIR: "/opt/plugins",
					FI_PROVIDER: "efa",
					FI_EFA_USE_DEVICE_RDMA: "1",
					FI_EFA_ENABLE_SHM_TRANSFER: "0",
				},
			},
		],
		[
			"UCX by its name",
			{
				disaggregationMode: "prefill",
				environment: { TRTLLM_USE_UCX_KVCACHE: "1" },
				extraEngineArgs: { cache_transceiver_config: { backend: "UCX", kv_transfer_timeout_ms: 1 } },
			},
		],
		[
			"an encoder, which has no KV cache",
			{ disaggregationMode: "encode", protocol: "http", publishKvEvents: true },
		],
		["images", { modality: "image_diffusion", protocol: "http" }],
	])("%s", (_, options) => expect(sound(options)).toEqual([]));
});

describe("a trap is named, with what to do", () => {
	it.each(TRAPS)("$code", ({ code, severity, options, engine, what, fix }) => {
		const findings = checkServeConfiguration({ ...SOUND, ...options }, engine);
		const found = findings.find((finding) => finding.code === code);
		expect(found, `${code} among ${findings.map((finding) => finding.code).join(", ")}`).toBeDefined();
		expect(found).toMatchObject({ severity });
		expect(found!.what).toContain(what);
		expect(found!.fix).toContain(fix);
		if (severity !== "error") return;
		const refuse = () => assertServeConfiguration(findings);
		expect(refuse).toThrow(DynError);
		expect(refuse).toThrow(found!.what);
		expect(refuse).toThrow(found!.fix);
	});
});

it("starts with warnings and advice", () => {
	const findings = checkServeConfiguration({ ...SOUND, host: "0.0.0.0" }, {});
	expect(findings.map(({ severity }) => severity)).toContain("warning");
	assertServeConfiguration(findings);
});

it("knows a GGUF file by its name, and leaves it to a command that may read it", () => {
	const codes = (options: Partial<ServeOptions>, engine: EngineFacts = {}) =>
		checkServeConfiguration({ ...SOUND, ...options }, engine).map(({ code }) => code);
	const model = "/models/m-Q4_1.gguf";
	expect(codes({ model })).toContain("gguf-model");
	expect(codes({ model, command: ["trtllm-serve"] }, { version: "1.3.0rc27" })).toContain("gguf-model");
	expect(codes({ model, command: ["./stand-in"] })).not.toContain("gguf-model");
	expect(codes({}, { modelFiles: ["config.json", "m.gguf", "model.safetensors"] })).not.toContain(
		"gguf-model",
	);
});

it("has a trap seeded for every code that there is", () => {
	const folder = new URL("./checks/", import.meta.url);
	const sources = readdirSync(folder).map((name) => readFileSync(new URL(name, folder), "utf8"));
	const codes = sources.flatMap((text) =>
		[...text.matchAll(/"([a-z0-9]+(?:-[a-z0-9]+)+)"/g)].map(([, code]) => code!),
	);
	expect(codes.length).toBeGreaterThan(25);
	expect(codes.filter((code) => !TRAPS.some((trap) => trap.code === code))).toEqual([]);
});
