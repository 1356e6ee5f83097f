// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { float32Tensor, type TensorData, writeSafetensors } from "@dyn/models/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MODEL } from "./server-process.js";

const cli = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const tokenizer = fileURLToPath(
	new URL("../../../packages/text/src/__fixtures__/byte-level", import.meta.url),
);
const folder = mkdtempSync(join(tmpdir(), "dyn-quantize-"));
beforeAll(() => writeTinyModel());
afterAll(() => rmSync(folder, { recursive: true }));

/** One layer of made-up weights over bytes. */
async function writeTinyModel(): Promise<void> {
	const [hidden, ffn, vocabulary] = [64, 96, 270];
	const tensors: TensorData[] = [];
	const add = (name: string, ...shape: number[]) => {
		const count = shape.reduce((product, size) => product * size, 1);
		const values = Array.from({ length: count }, (_, i) => (shape.length === 1 ? 1 : Math.sin(i * i) / 4));
		tensors.push(float32Tensor(`model.${name}.weight`, shape, values));
	};
	add("embed_tokens", vocabulary, hidden);
	add("norm", hidden);
	for (const name of ["input_layernorm", "post_attention_layernorm"]) add(`layers.0.${name}`, hidden);
	for (const name of ["q", "k", "v", "o"]) add(`layers.0.self_attn.${name}_proj`, hidden, hidden);
	for (const name of ["gate", "up"]) add(`layers.0.mlp.${name}_proj`, ffn, hidden);
	add("layers.0.mlp.down_proj", hidden, ffn);
	await writeSafetensors(join(folder, "model.safetensors"), tensors);
	const config = {
		model_type: "llama",
		hidden_size: hidden,
		intermediate_size: ffn,
		num_hidden_layers: 1,
		num_attention_heads: 4,
		num_key_value_heads: 4,
		head_dim: 16,
		vocab_size: vocabulary,
		max_position_embeddings: 1024,
		tie_word_embeddings: true,
		eos_token_id: 266,
	};
	writeFileSync(join(folder, "config.json"), JSON.stringify(config));
	for (const file of ["tokenizer.json", "tokenizer_config.json"])
		copyFileSync(join(tokenizer, file), join(folder, file));
	writeFileSync(join(folder, "text.txt"), "Quantising is rounding. ".repeat(30));
}

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
	return new Promise((resolve) => {
		const child = execFile(process.execPath, [cli, "model", "quantize", ...args], (error, stdout, stderr) =>
			resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr }),
		);
		child.stdin!.end();
	});
}

describe("model quantize", () => {
	it("prints what each form of the weights costs on the built-in text", async () => {
		const { code, stdout, stderr } = await run("--check", folder);
		expect([code, stderr]).toEqual([0, ""]);
		expect(stdout).toMatch(
			/\d+ tokens of the built-in text\n\nweights +size +perplexity +cost +decode +load\n/,
		);
		const rows = stdout.trimEnd().split("\n").slice(3);
		expect(rows).toEqual([
			expect.stringMatching(/^as stored +\d/),
			expect.stringMatching(/^int8 .* [+-]\d+\.\d\d % \(± \d+\.\d\d %\)/),
			expect.stringMatching(/^int4 .* [+-]\d+\.\d\d % \(± \d+\.\d\d %\)/),
		]);
	});

	it("measures one form on a text of the user's, for programs", async () => {
		const { code, stdout } = await run(
			...["--check", folder, "--quantization", "int4", "--json", "--text", join(folder, "text.txt")],
		);
		const report = JSON.parse(stdout);
		expect([code, report.tokens, report.text]).toEqual([0, 721, join(folder, "text.txt")]);
		const [stored, int4] = report.measures;
		expect(stored).toMatchObject({ quantization: null, cost: 0 });
		expect(int4.quantization).toBe("int4");
		expect(int4.perplexity / stored.perplexity - 1).toBeCloseTo(int4.cost, 9);
		expect(int4.weightBytes).toBeLessThan(stored.weightBytes / 3);
	});

	it.each([
		[[folder], "models are quantised while they are loaded", 2],
		[["--check", MODEL], "is quantised already (embed is Q8_0)", 2],
		[["--check", folder, "--quantization", "fp8"], "--quantization must be one of int8, int4", 2],
		[["--check", folder, "--text", "/nowhere.txt"], "the text /nowhere.txt cannot be read", 1],
		[["--check"], "model quantize takes one model", 2],
	])("says what is wrong with %j", async (args, message, code) => {
		const answer = await run(...args);
		expect(answer.stderr).toContain(message);
		expect(answer.code).toBe(code);
	});
});
