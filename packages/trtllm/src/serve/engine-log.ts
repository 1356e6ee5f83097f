// SPDX-License-Identifier: Apache-2.0
import type { Readable } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import type { Logger, LogLevel } from "@dyn/common";

/** Longest line that is kept, characters; the rest of it is dropped. */
const MAX_LINE = 8192;
/** Lines of standard error that are kept to explain an exit. */
const KEPT_LINES = 20;

/** TensorRT-LLM's own prefix, "[TRT-LLM] [RANK 0] [I]" or "[TensorRT-LLM][INFO]", or Python's "WARNING: ...". */
const LEVEL =
	/\[(?:TRT-LLM|TensorRT-LLM)\]\s*(?:\[RANK \d+\]\s*)?\[([A-Z])|^([A-Z])(?:NFO|ARN|ARNING|RROR|RITICAL|EBUG)\b/;
const LEVELS: Readonly<Record<string, Exclude<LogLevel, "off">>> = {
	E: "error",
	C: "error",
	F: "error",
	W: "warn",
	I: "info",
	V: "debug",
	D: "debug",
	T: "trace",
};

/** The engine's output as log lines of this process, and its last lines of standard error. */
export class EngineLog {
	readonly #logger: Logger;
	readonly #lastErrors: string[] = [];

	constructor(logger: Logger) {
		this.#logger = logger;
	}

	/** The last lines of standard error, oldest first; at most 20. */
	get lastErrors(): readonly string[] {
		return this.#lastErrors;
	}

	/** Follows a stream to its end. Of a progress bar, only what stands at the end of the line is shown. */
	follow(stream: Readable, name: "stdout" | "stderr"): void {
		let rest = "";
		stream.setEncoding("utf8");
		stream.on("data", (chunk: string) => {
			const lines = (rest + chunk).split("\n");
			rest = lines.pop()!;
			if (rest.length > MAX_LINE) rest = afterReturn(rest).slice(0, MAX_LINE);
			for (const line of lines) this.#take(line, name);
		});
		stream.on("end", () => this.#take(rest, name));
		stream.on("error", () => {}); // The pipe ends with the process.
	}

	#take(raw: string, stream: "stdout" | "stderr"): void {
		const line = stripVTControlCharacters(afterReturn(raw)).slice(0, MAX_LINE).trimEnd();
		if (line === "") return;
		if (stream === "stderr") {
			this.#lastErrors.push(line);
			if (this.#lastErrors.length > KEPT_LINES) this.#lastErrors.shift();
		}
		this.#logger[levelOf(line)]("trtllm-serve", { line });
	}
}

/** What a terminal would show of a line with carriage returns. */
const afterReturn = (line: string) => line.slice(line.trimEnd().lastIndexOf("\r") + 1);

export function levelOf(line: string): Exclude<LogLevel, "off"> {
	const [, own, python] = LEVEL.exec(line) ?? [];
	return LEVELS[own ?? python ?? "I"] ?? "info";
}
