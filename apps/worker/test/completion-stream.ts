// SPDX-License-Identifier: Apache-2.0

export interface StreamedCompletion {
	readonly text: string;
	/** Error events. */
	readonly errors: readonly unknown[];
	/** Null when it was not asked for. */
	readonly completionTokens: number | null;
	/** Whether it came to its proper end. */
	readonly isWhole: boolean;
}

/** Streams one completion from `address`; `onText` hears of each piece of text as it comes. */
export async function streamCompletion(
	address: string,
	body: object,
	onText: () => void,
): Promise<StreamedCompletion> {
	const response = await fetch(`${address}/v1/completions`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ ...body, stream: true }),
	});
	let all = "";
	for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
		all += part;
		if (part.includes('"text"')) onText();
	}
	const events = [...all.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!));
	return {
		text: events.map(({ choices }) => choices?.[0]?.text ?? "").join(""),
		errors: events.filter(({ error }) => error),
		completionTokens: events.at(-1)?.usage?.completion_tokens ?? null,
		isWhole: all.endsWith("data: [DONE]\n\n"),
	};
}
