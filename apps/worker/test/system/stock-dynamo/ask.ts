// SPDX-License-Identifier: Apache-2.0
import type { Process } from "./deployment.js";

/** An answer of either endpoint, unary or streamed. */
export interface Answer {
	/** Of choice 0. */
	readonly text: string;
	readonly finishReason: string | null;
	/** Null when there was none. */
	readonly usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
	/** Of choice 0, as it came. */
	readonly logprobs: unknown;
	/** Texts of all choices, by index. */
	readonly texts: readonly string[];
}

interface Choice {
	index: number;
	message?: { content: string | null };
	delta?: { content?: string | null };
	text?: string;
	finish_reason?: string | null;
	logprobs?: unknown;
}
interface Body {
	choices?: Choice[];
	usage?: Answer["usage"];
	error?: unknown;
}

/** A prompt goes to /v1/completions, messages to /v1/chat/completions. */
export function post(
	frontend: Process,
	body: Record<string, unknown>,
	signal?: AbortSignal,
): Promise<Response> {
	return fetch(`${frontend.address}${"prompt" in body ? "/v1/completions" : "/v1/chat/completions"}`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify(body),
		...(signal ? { signal } : {}),
	});
}

/** @throws Error with what the frontend said, for anything but a whole answer */
export async function ask(frontend: Process, body: Record<string, unknown>): Promise<Answer> {
	const bodies: Body[] = [];
	for await (const each of answersOf(await post(frontend, body))) bodies.push(each);
	return join(bodies);
}

/** Like `ask`, streamed and with usage; `onToken` is told how many events with text came so far. */
export async function follow(
	frontend: Process,
	body: Record<string, unknown>,
	onToken: (count: number) => void,
): Promise<Answer> {
	const bodies: Body[] = [];
	let count = 0;
	const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
	for await (const each of answersOf(await post(frontend, streamed))) {
		bodies.push(each);
		if (each.choices?.some((choice) => textOf(choice) !== "")) onToken(++count);
	}
	return join(bodies);
}

/** The one body of a unary answer, or every event of a stream that ends as it should. */
async function* answersOf(response: Response): AsyncGenerator<Body> {
	if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
	if (!response.headers.get("content-type")!.startsWith("text/event-stream")) {
		yield (await response.json()) as Body;
		return;
	}
	let unread = "";
	const decoder = new TextDecoder();
	for await (const bytes of response.body!) {
		unread += decoder.decode(bytes, { stream: true });
		const events = unread.split("\n\n");
		unread = events.pop()!;
		for (const event of events) {
			// Lines that begin with a colon are comments.
			const data = event.split("\n").find((line) => line.startsWith("data: "));
			if (data === "data: [DONE]") return;
			if (data === undefined) continue;
			const body = JSON.parse(data.slice("data: ".length)) as Body;
			if (!body.choices) throw new Error(`the stream failed: ${data}`);
			yield body;
		}
	}
	throw new Error("the stream ended without [DONE]");
}

function join(bodies: readonly Body[]): Answer {
	const texts: string[] = [];
	const first: Choice[] = [];
	for (const choice of bodies.flatMap(({ choices }) => choices ?? [])) {
		texts[choice.index] = (texts[choice.index] ?? "") + textOf(choice);
		if (choice.index === 0) first.push(choice);
	}
	return {
		text: texts[0] ?? "",
		texts,
		finishReason: first.map((choice) => choice.finish_reason).findLast((reason) => reason) ?? null,
		usage: bodies.findLast(({ usage }) => usage)?.usage ?? null,
		logprobs: first.find((choice) => choice.logprobs)?.logprobs ?? null,
	};
}

function textOf({ message, delta, text }: Choice): string {
	return (message ? message.content : delta ? delta.content : text) ?? "";
}
