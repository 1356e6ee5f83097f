// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { readSafetensors, readTensor } from "@dyn/models";
import type { ModelSpec } from "../model/model-spec.js";
import type { AdapterPart, Projection } from "./adapter-weights.js";

/** As in native/src/adapter.h. */
const MAX_RANK = 512;

/** PEFT's names of the modules that a decoder's adapter may change. */
const MODULES: ReadonlyMap<string, Projection> = new Map([
	["self_attn.q_proj", "q"],
	["self_attn.k_proj", "k"],
	["self_attn.v_proj", "v"],
	["self_attn.o_proj", "o"],
	["mlp.gate_proj", "gate"],
	["mlp.up_proj", "up"],
	["mlp.down_proj", "down"],
]);
const TENSOR = /^base_model\.model\.(?:model\.)?layers\.(\d+)\.([\w.]+)\.lora_(A|B)\.weight$/;

/** Settings of PEFT's LoraConfig that change what an adapter computes; an adapter that has one set is none that we know. */
const REFUSED = [
	"use_dora",
	"fan_in_fan_out",
	"modules_to_save",
	"rank_pattern",
	"alpha_pattern",
	"use_qalora",
	"lora_bias",
];

/**
 * Reads a LoRA adapter as PEFT saves it: a folder with adapter_config.json and adapter_model.safetensors. The scale, alpha / r
 * or with rank stabilisation alpha / sqrt(r), goes into the matrices B.
 * @throws DynError NOT_FOUND when there is none, UNIMPLEMENTED naming the setting or tensor that this engine cannot honour,
 * MODEL_FORMAT when it cannot be read or does not fit the model
 */
export async function readPeftAdapter(folder: string, spec: ModelSpec): Promise<readonly AdapterPart[]> {
	const config = await readConfig(folder);
	const wrong = (what: string) => new DynError("MODEL_FORMAT", `the adapter in ${folder} ${what}`);
	const { r: rank, lora_alpha: alpha } = config;
	if (!Number.isInteger(rank) || (rank as number) < 1 || (rank as number) > MAX_RANK)
		throw wrong(`has rank r = ${JSON.stringify(rank)}: it must be 1 to ${MAX_RANK}`);
	if (typeof alpha !== "number") throw wrong("has no number lora_alpha");
	const r = rank as number;
	const scale = alpha / (config["use_rslora"] === true ? Math.sqrt(r) : r);

	const found = new Map<string, { A?: Float32Array; B?: Float32Array }>();
	for (const info of readSafetensors(join(folder, "adapter_model.safetensors"))) {
		const [, layer, module, matrix] = TENSOR.exec(info.name) ?? [];
		const projection = MODULES.get(module ?? "");
		if (!projection)
			throw new DynError(
				"UNIMPLEMENTED",
				`the adapter in ${folder} changes ${info.name.slice(0, 200)}; this engine adapts ${[...MODULES.keys()].join(", ")}`,
			);
		if (Number(layer) >= spec.numLayers)
			throw wrong(`has a tensor for layer ${layer}, but the model has ${spec.numLayers} layers`);
		const { rows, cols } = sizeOf(spec, projection);
		const wanted = matrix === "A" ? [r, cols] : [rows, r];
		if (info.shape.join() !== wanted.join())
			throw wrong(`has ${info.name} of shape [${info.shape.join(", ")}], not [${wanted.join(", ")}]`);
		const key = `${layer}.${projection}`;
		found.set(key, { ...found.get(key), [matrix!]: await readTensor(info, wanted[0]! * wanted[1]!) });
	}
	if (found.size === 0) throw wrong("has no tensors");
	return Array.from(found, ([key, { A: a, B: b }]) => {
		const [layer, projection] = key.split(".") as [string, Projection];
		if (!a || !b) throw wrong(`has only one of the two matrices of layer ${layer}, ${projection}`);
		return { layer: Number(layer), projection, rank: r, a, b: b.map((value) => value * scale) };
	});
}

async function readConfig(folder: string): Promise<Record<string, unknown>> {
	const path = join(folder, "adapter_config.json");
	const text = await readFile(path, "utf8").catch(() => null);
	if (text === null)
		throw new DynError("NOT_FOUND", `there is no adapter in ${folder}: adapter_config.json is missing`);
	let config: Record<string, unknown>;
	try {
		config = JSON.parse(text) as Record<string, unknown>;
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${path} is no JSON`, { cause: error });
	}
	const refuse = (field: string) =>
		new DynError(
			"UNIMPLEMENTED",
			`the adapter in ${folder} has ${field} = ${JSON.stringify(config[field])}, which this engine cannot honour`,
			{ details: { param: field } },
		);
	if (config["peft_type"] !== "LORA") throw refuse("peft_type");
	if ((config["bias"] ?? "none") !== "none") throw refuse("bias");
	for (const field of REFUSED) if (asksForSomething(config[field])) throw refuse(field);
	return config;
}

function asksForSomething(value: unknown): boolean {
	if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
	return Boolean(value);
}

function sizeOf(spec: ModelSpec, projection: Projection): { readonly rows: number; readonly cols: number } {
	const { hiddenSize: hidden, intermediateSize: ffn } = spec;
	const q = spec.numHeads * spec.headDim;
	const kv = spec.numKvHeads * spec.headDim;
	const [rows, cols] = {
		q: [q, hidden],
		k: [kv, hidden],
		v: [kv, hidden],
		o: [hidden, q],
		gate: [ffn, hidden],
		up: [ffn, hidden],
		down: [hidden, ffn],
	}[projection] as [number, number];
	return { rows, cols };
}
