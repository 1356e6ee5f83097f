// SPDX-License-Identifier: Apache-2.0
import { createInterface } from "node:readline/promises";
import { DynError } from "@dyn/common";
import { createFrontend } from "@dyn/frontend";
import { createRuntime } from "@dyn/runtime";
import { startWorker } from "../options/assemble.js";
import type { Values } from "../options/values.js";
import { terminalLogger, usesColour } from "../terminal/terminal.js";
import { type ChatMessage, streamAnswer } from "./chat-client.js";

/** Chat in the terminal, with a model of this process or a running server. */
export async function chat(values: Values): Promise<number> {
	const logger = terminalLogger(values, "warn");
	const url = values["url"] as string | undefined;
	const local = url ? null : await startLocal(values, logger);
	const server = (url ?? local!.address).replace(/\/$/, "");
	const dim = usesColour(process.stdout)
		? (text: string) => `\u001b[2m${text}\u001b[0m`
		: (text: string) => text;
	const messages: ChatMessage[] = values["system"]
		? [{ role: "system", content: values["system"] as string }]
		: [];
	const name = await firstModel(server).catch(async (error) => {
		await local?.close();
		throw error;
	});
	// After everything that waits: lines that come earlier would be lost.
	const isTerminal = process.stdin.isTTY === true;
	const lines = createInterface({
		input: process.stdin,
		output: isTerminal ? process.stdout : undefined,
		terminal: isTerminal,
	});
	let answering: AbortController | null = null;
	// The first Ctrl-C stops an answer, one at the prompt leaves.
	const interrupt = () => (answering ? answering.abort() : lines.close());
	lines.on("SIGINT", interrupt);
	process.on("SIGINT", interrupt);
	try {
		if (isTerminal)
			process.stdout.write(dim(`Chatting with ${name}. /exit leaves, Ctrl-C stops an answer.\n\n`));
		lines.setPrompt("> ");
		if (isTerminal) lines.prompt();
		for await (const line of lines) {
			const text = line.trim();
			if (text === "/exit") break;
			if (text !== "") {
				messages.push({ role: "user", content: text });
				answering = new AbortController();
				const { answer, tokens, seconds } = await streamAnswer(server, {
					model: name,
					messages,
					temperature: (values["temperature"] as number | undefined) ?? 0.7,
					maxTokens: (values["maxTokens"] as number | undefined) ?? 512,
					signal: answering.signal,
					onText: (piece) => process.stdout.write(piece),
				});
				answering = null;
				messages.push({ role: "assistant", content: answer });
				process.stdout.write("\n");
				if (isTerminal)
					process.stdout.write(dim(`${tokens} tokens, ${(tokens / seconds).toFixed(0)} tokens/s\n\n`));
			}
			if (isTerminal) lines.prompt();
		}
		return 0;
	} finally {
		lines.close();
		await local?.close();
	}
}

async function startLocal(values: Values, logger: ReturnType<typeof terminalLogger>) {
	const runtime = await createRuntime({ logger });
	const worker = await startWorker(values, { runtime, logger });
	const frontend = await createFrontend({ runtime, logger, port: 0 });
	await frontend.ready;
	return {
		address: frontend.address,
		async close() {
			await frontend.close();
			await worker.close();
			await runtime.close();
		},
	};
}

async function firstModel(server: string): Promise<string> {
	const response = await fetch(`${server}/v1/models`).catch((error) => {
		throw new DynError(
			"UNAVAILABLE",
			`${server} does not answer; start a server with dyn-worker, or leave --url out`,
			{ cause: error },
		);
	});
	const { data } = (await response.json()) as { data: { id: string }[] };
	if (!data[0]) throw new DynError("UNAVAILABLE", `${server} serves no model`);
	return data[0].id;
}
