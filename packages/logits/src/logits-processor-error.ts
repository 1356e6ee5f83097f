// SPDX-License-Identifier: Apache-2.0

/** A processor failed: which one, and what it threw as `cause`. The engine turns it into its own error type. */
export class LogitsProcessorError extends Error {
	override readonly name = "LogitsProcessorError";
	/** Name under which the processor was registered. */
	readonly processor: string;

	constructor(processor: string, message: string, cause?: unknown) {
		super(`logits processor ${processor}: ${message}`, cause === undefined ? undefined : { cause });
		this.processor = processor;
	}

	/** Of what a processor or its factory threw. */
	static from(processor: string, thrown: unknown): LogitsProcessorError {
		return new LogitsProcessorError(
			processor,
			thrown instanceof Error ? thrown.message : String(thrown),
			thrown,
		);
	}
}
