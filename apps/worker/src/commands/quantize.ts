// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { DynError, invalidArgument, type Logger } from "@dyn/common";
import { loadTokenizer } from "@dyn/text";
import {
	type CheckProgress,
	checkQuantization,
	type Quantization,
	type QuantizationMeasure,
} from "@dyn/trtllm-native";
import type { Values } from "../options/values.js";
import { CHECK_TEXT } from "./quantize-text.js";

const CLEAR_LINE = "\r\u001b[2K";

/** model quantize --check: one line for each form of the weights, or JSON. Progress goes to standard error, on a terminal. */
export async function quantize(values: Values, name: string, path: string, logger: Logger): Promise<number> {
	if (values["check"] !== true)
		throw invalidArgument(
			"check",
			`models are quantised while they are loaded (dyn-worker --model ${name} --quantization int8), no file is written; model quantize --check ${name} measures what it costs`,
		);
	const tokenizer = await loadTokenizer((values["tokenizer"] as string | undefined) ?? path);
	const file = values["text"] as string | undefined;
	const tokenIds = await tokenizer.encode(file === undefined ? CHECK_TEXT : await readText(file));
	const only = values["quantization"] as Quantization | undefined;
	const showsProgress = process.stderr.isTTY === true;
	const measures = await checkQuantization({
		modelPath: path,
		tokenIds,
		quantizations: only === undefined ? undefined : [only],
		threads: values["threads"] as number | undefined,
		nativePath: values["nativePath"] as string | undefined,
		logger,
		onProgress: (progress) => {
			if (showsProgress) process.stderr.write(`${CLEAR_LINE}${progressLine(progress)}`);
		},
	}).finally(() => {
		if (showsProgress) process.stderr.write(CLEAR_LINE);
	});
	process.stdout.write(
		values["json"] === true
			? `${JSON.stringify({ model: name, path, text: file ?? null, tokens: tokenIds.length, measures }, null, 2)}\n`
			: report(name, `${tokenIds.length} tokens of ${file ?? "the built-in text"}`, measures),
	);
	return 0;
}

async function readText(file: string): Promise<string> {
	try {
		return await readFile(file, "utf8");
	} catch (error) {
		throw new DynError("NOT_FOUND", `the text ${file} cannot be read: ${(error as Error).message}`, {
			cause: error,
		});
	}
}

function progressLine({ quantization, scoredTokens, totalTokens }: CheckProgress): string {
	const form = quantization ?? "as stored";
	return scoredTokens === 0 ? `${form}: loading` : `${form}: ${scoredTokens} of ${totalTokens} tokens`;
}

function report(name: string, text: string, measures: readonly QuantizationMeasure[]): string {
	const rows = measures.map(
		({ quantization, weightBytes, perplexity, cost, costError, decodeTokensPerSecond, loadMs }) => [
			quantization ?? "as stored",
			`${(weightBytes / 1e6).toFixed(1)} MB`,
			perplexity.toFixed(3),
			quantization === null ? "" : `${percent(cost, "always")} (± ${percent(2 * costError, "never")})`,
			`${decodeTokensPerSecond.toFixed(1)} tok/s`,
			`${(loadMs / 1000).toFixed(1)} s`,
		],
	);
	const table = [["weights", "size", "perplexity", "cost", "decode", "load"], ...rows];
	const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
	const lines = table.map((row) =>
		row
			.map((cell, i) => cell.padEnd(widths[i]!))
			.join("   ")
			.trimEnd(),
	);
	return `${name}, ${text}\n\n${lines.join("\n")}\n`;
}

function percent(share: number, signDisplay: "always" | "never"): string {
	return `${(100 * share).toLocaleString("en", { signDisplay, minimumFractionDigits: 2, maximumFractionDigits: 2 })} %`;
}
