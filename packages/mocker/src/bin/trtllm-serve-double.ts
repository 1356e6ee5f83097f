#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Stands in for the `trtllm-serve` executable where launching it is tested: its arguments, its output, a simulated engine.
//   node trtllm-serve-double.js MODEL --grpc --grpc-protocol openengine --host 127.0.0.1 --port 50051
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { createMockerEngine } from "../engine/mocker-engine.js";
import { createHttpDouble } from "../http/http-double.js";
import { createTrtllmDouble } from "../openengine/trtllm-double.js";
import { createSmgDouble } from "../smg/smg-double.js";
import { readServeArguments, type ServeArguments, serveUsage } from "./serve-arguments.js";

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

const NAMES = { openengine: "OpenEngine gRPC", smg: "SMG gRPC", http: "HTTP" } as const;

async function serve(given: ServeArguments): Promise<{ readonly address: string; close(): Promise<void> }> {
	const { protocol, host, port, servedModelName, tellsContextLength } = given;
	const { kvEvents } = given;
	const options = {
		speedupRatio: 0,
		vocabSize: vocabularyOf(given.engine.modelName),
		remembersTokens: kvEvents !== null,
		...given.engine,
	};
	if (protocol === "http") {
		const double = await createHttpDouble({ engine: options, host, port });
		return { address: double.url, close: () => double.close() };
	}
	const engine = createMockerEngine(options);
	if (protocol === "smg") return createSmgDouble({ engine, host, port });
	const quirks = { noContextLength: !tellsContextLength };
	const double = await createTrtllmDouble({ engine, quirks, servedModelName, host, port });
	if (!kvEvents) return double;
	const { createKvEventPublisherDouble } = await import("../kv-events/kv-event-publisher-double.js");
	const { dpSize } = given.engine;
	const publisher = await createKvEventPublisherDouble({ engine, dpSize, ...kvEvents });
	return {
		address: double.address,
		close: async () => {
			await publisher.close();
			await double.close();
		},
	};
}

async function main(argv: readonly string[]): Promise<void> {
	if (argv.includes("--help")) {
		process.stdout.write(serveUsage());
		return;
	}
	const given = readServeArguments(argv, (path) => readFileSync(path, "utf8"));
	log("I", `Loading ${given.engine.modelName} (simulated)`);
	const double = await serve(given);
	log("I", `${NAMES[given.protocol]} server listening on ${double.address}`);
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
