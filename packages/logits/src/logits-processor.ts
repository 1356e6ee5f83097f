// SPDX-License-Identifier: Apache-2.0

/**
 * Changes the logits of one request before a token is chosen. One instance serves one request (all its choices
 * get one each) and may keep state between calls.
 */
export interface LogitsProcessor {
	/**
	 * @param inputIds prompt and everything generated so far, in order. Valid during the call only.
	 * @param logits one value per vocabulary entry; edit in place. Valid during the call only.
	 * @throws anything: that request fails with LOGITS_PROCESSOR_FAILED, naming the processor; no other request is touched.
	 */
	process(inputIds: Uint32Array, logits: Float32Array): void;
}

/** Makes the instance for one request; `args` is what the request sent, unchecked. Throw to refuse it (the request gets a 400). */
export type LogitsProcessorFactory = (args: unknown) => LogitsProcessor;
