// SPDX-License-Identifier: Apache-2.0
// LoRA adapters as PEFT saves them, with seeded values, and the models that they make when they are merged.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { float32Tensor, type TensorData, writeSafetensors } from "@dyn/models/testing";
import type { HuggingFaceFolder } from "../../model/__fixtures__/tiny-checkpoint.js";
import { seededRandom } from "../../native/__fixtures__/tiny-model.js";

const ALL_MODULES: readonly string[] = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

export interface AdapterShape {
	readonly rank?: number;
	/** Last parts of the names of the matrices that it has. Default: all that there are. */
	readonly modules?: readonly string[];
	readonly rslora?: boolean;
}

interface Pair {
	/** Name of the matrix in the model: "model.layers.0.self_attn.q_proj". */
	readonly module: string;
	readonly rows: number;
	readonly cols: number;
	readonly a: readonly number[];
	readonly b: readonly number[];
}

export interface TestAdapter {
	config: Record<string, unknown>;
	readonly pairs: readonly Pair[];
	/** By name; tests add and remove some. */
	readonly tensors: Map<string, TensorData>;
}

/** An adapter for `model` whose effect on its logits is large. */
export function testAdapter(
	model: HuggingFaceFolder,
	seed: number,
	{ rank = 4, modules = ALL_MODULES, rslora = false }: AdapterShape = {},
): TestAdapter {
	const random = seededRandom(seed);
	const values = (count: number) => Array.from({ length: count }, () => (random() - 0.5) / 2);
	const pairs = [...model.tensors.values()].flatMap(({ name, shape }): Pair[] => {
		const module = name.replace(/\.weight$/, "");
		if (!modules.some((each) => module.endsWith(`.${each}`))) return [];
		const [rows, cols] = shape as [number, number];
		return [{ module, rows, cols, a: values(rank * cols), b: values(rows * rank) }];
	});
	const tensors = new Map<string, TensorData>();
	for (const { module, rows, cols, a, b } of pairs) {
		const name = `base_model.model.${module}`;
		tensors.set(`${name}.lora_A.weight`, float32Tensor(`${name}.lora_A.weight`, [rank, cols], [...a]));
		tensors.set(`${name}.lora_B.weight`, float32Tensor(`${name}.lora_B.weight`, [rows, rank], [...b]));
	}
	const config = { peft_type: "LORA", r: rank, lora_alpha: 6, target_modules: modules, bias: "none", use_rslora: rslora };
	return { config, pairs, tensors };
}

/** `W + scale B A` for every matrix that the adapter has: a model that needs no adapter. */
export function merged(model: HuggingFaceFolder, { config, pairs }: TestAdapter): HuggingFaceFolder {
	const rank = config["r"] as number;
	const scale = (config["lora_alpha"] as number) / (config["use_rslora"] ? Math.sqrt(rank) : rank);
	const tensors = new Map(model.tensors);
	for (const { module, rows, cols, a, b } of pairs) {
		const name = `${module}.weight`;
		const { bytes } = tensors.get(name)!;
		const base = new Float32Array(Uint8Array.from(bytes).buffer);
		const sum = Array.from(base, (value, at) => {
			const [row, col] = [Math.floor(at / cols), at % cols];
			let product = 0;
			for (let j = 0; j < rank; j++) product += b[row * rank + j]! * a[j * cols + col]!;
			return value + scale * product;
		});
		tensors.set(name, float32Tensor(name, [rows, cols], sum));
	}
	return { ...model, tensors };
}

export async function saveAdapter(root: string, name: string, { config, tensors }: TestAdapter): Promise<string> {
	const folder = join(root, name);
	mkdirSync(folder, { recursive: true });
	writeFileSync(join(folder, "adapter_config.json"), JSON.stringify(config));
	await writeSafetensors(join(folder, "adapter_model.safetensors"), [...tensors.values()]);
	return folder;
}
