// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { float32Tensor } from "@dyn/models/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { checkpointFolder, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { loadModelWeights } from "../model/load-model-weights.js";
import type { ModelSpec } from "../model/model-spec.js";
import { saveAdapter, type TestAdapter, testAdapter } from "./__fixtures__/peft-adapter.js";
import { readPeftAdapter } from "./read-peft-adapter.js";

const checkpoints = checkpointFolder();
const root = mkdtempSync(join(tmpdir(), "dyn-peft-"));
const model = huggingFace("llama");
let spec: ModelSpec;
beforeAll(async () => {
	({ spec } = await loadModelWeights(await checkpoints.saveHuggingFace(model)));
});
afterAll(() => {
	checkpoints.dispose();
	rmSync(root, { recursive: true });
});

let count = 0;
const read = async (change: (adapter: TestAdapter) => void = () => {}) => {
	const adapter = testAdapter(model, 1, { rank: 2, modules: ["q_proj", "down_proj"] });
	change(adapter);
	return readPeftAdapter(await saveAdapter(root, String(count++), adapter), spec);
};
const NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";

it("reads the matrices with the scale in B", async () => {
	const parts = await read();
	expect(parts.map(({ layer, projection, rank }) => [layer, projection, rank])).toEqual([
		[0, "q", 2],
		[0, "down", 2],
		[1, "q", 2],
		[1, "down", 2],
	]);
	const { pairs } = testAdapter(model, 1, { rank: 2, modules: ["q_proj", "down_proj"] });
	expect([...parts[0]!.a]).toEqual(pairs[0]!.a.map(Math.fround));
	expect(parts[0]!.b[5]).toBeCloseTo(3 * pairs[0]!.b[5]!, 6);
	const stabilised = await read(({ config }) => {
		config["use_rslora"] = true;
	});
	expect(stabilised[0]!.b[5]).toBeCloseTo((6 / Math.SQRT2) * pairs[0]!.b[5]!, 6);
});

it.each([
	["peft_type", "LOHA"],
	["bias", "all"],
	["use_dora", true],
	["fan_in_fan_out", true],
	["modules_to_save", ["lm_head"]],
	["rank_pattern", { q_proj: 8 }],
	["alpha_pattern", { q_proj: 8 }],
])("refuses %s = %j by name", async (field, value) => {
	const refused = read(({ config }) => {
		config[field] = value;
	});
	await expect(refused).rejects.toMatchObject({
		code: "UNIMPLEMENTED",
		message: expect.stringContaining(`${field} = ${JSON.stringify(value)}`),
	});
});

it.each<[string, (adapter: TestAdapter) => void, string, string]>([
	["no rank", ({ config }) => delete config["r"], "MODEL_FORMAT", "rank r"],
	["a rank of 513", ({ config }) => (config["r"] = 513), "MODEL_FORMAT", "rank r = 513"],
	["no alpha", ({ config }) => delete config["lora_alpha"], "MODEL_FORMAT", "lora_alpha"],
	[
		"another rank than its tensors",
		({ config }) => (config["r"] = 3),
		"MODEL_FORMAT",
		"lora_A.weight of shape [2, 32], not [3, 32]",
	],
	[
		"half a pair",
		({ tensors }) => tensors.delete(NAME),
		"MODEL_FORMAT",
		"only one of the two matrices of layer 0, q",
	],
	["no tensors", ({ tensors }) => tensors.clear(), "MODEL_FORMAT", "no tensors"],
	[
		"a layer too many",
		({ tensors }) => tensors.set("x", float32Tensor(NAME.replace(".0.", ".7."), [2, 32], Array(64).fill(0))),
		"MODEL_FORMAT",
		"layer 7, but the model has 2",
	],
	[
		"an embedding",
		({ tensors }) => tensors.set("x", float32Tensor("base_model.model.lm_head.lora_A.weight", [1], [0])),
		"UNIMPLEMENTED",
		"lm_head",
	],
])("refuses an adapter with %s", async (_, change, code, message) => {
	await expect(read(change)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
});

it("refuses what is no adapter", async () => {
	await expect(readPeftAdapter(join(root, "nowhere"), spec)).rejects.toMatchObject({ code: "NOT_FOUND" });
	const folder = await saveAdapter(root, "broken", testAdapter(model, 1));
	writeFileSync(join(folder, "adapter_config.json"), "{");
	await expect(readPeftAdapter(folder, spec)).rejects.toMatchObject({ code: "MODEL_FORMAT" });
	writeFileSync(join(folder, "adapter_model.safetensors"), "short");
	writeFileSync(
		join(folder, "adapter_config.json"),
		JSON.stringify({ peft_type: "LORA", r: 1, lora_alpha: 1 }),
	);
	await expect(readPeftAdapter(folder, spec)).rejects.toMatchObject({ code: "MODEL_FORMAT" });
});
