#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Stands in for the `trtllm-serve` executable where launching it is tested: its arguments, its output, a simulated engine.
//   node trtllm-serve-double.js MODEL --grpc --grpc-protocol openengine --host 127.0.0.1 --port 50051
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { createMockerEngine } from "../engine/mocker-engine.js";
import { createTrtllmDouble } from "../openengine/trtllm-double.js";
import { readServeArguments } from "./serve-arguments.js";

/** As TensorRT-LLM writes it. */
function log(level: "I" | "E", message: string): void {
	const now = new Date();
	const two = (value: number) => String(value).padStart(2, "0");
	const date = `${two(now.getMonth() + 1)}/${two(now.getDate())}/${now.getFullYear()}`;
	const time = `${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}`;
	process.stdout.write(`[${date}-${time}] [TRT-LLM] [${level}] ${message}\n`);
}

/** Tokens of SmolLM2, the packaged model: a GGUF file does not say it without being read. */
const PACKAGED_VOCABULARY = 49_152;

/** Of a checkpoint's config.json, so that prompts and answers have the tokens of its tokenizer. */
function vocabularyOf(model = ""): number {
	try {
		const size: unknown = JSON.parse(readFileSync(join(model, "config.json"), "utf8")).vocab_size;
		return Number.isInteger(size) ? (size as number) : PACKAGED_VOCABULARY;
	} catch {
		return PACKAGED_VOCABULARY;
	}
}

async function main(argv: readonly string[]): Promise<void> {
	const given = readServeArguments(argv, (path) => readFileSync(path, "utf8"));
	log("I", `Loading ${given.engine.modelName} (simulated)`);
	const double = await createTrtllmDouble({
		engine: createMockerEngine({
			speedupRatio: 0,
			vocabSize: vocabularyOf(given.engine.modelName),
			...given.engine,
		}),
		quirks: { noContextLength: !given.tellsContextLength },
		servedModelName: given.servedModelName,
		host: given.host,
		port: given.port,
	});
	log("I", `OpenEngine gRPC server listening on ${double.address}`);
	const stop = () => {
		log("I", "Shutting down");
		void double.close();
	};
	process.once("SIGTERM", stop).once("SIGINT", stop);
}

main(process.argv.slice(2)).catch((thrown: unknown) => {
	const error = DynError.from(thrown);
	const isUsage = error.code === "INVALID_ARGUMENT";
	process.stderr.write(
		`${isUsage ? "Usage: trtllm-serve serve [OPTIONS] MODEL\n\n" : ""}Error: ${error.rawMessage}\n`,
	);
	process.exitCode = isUsage ? 2 : 1;
});
