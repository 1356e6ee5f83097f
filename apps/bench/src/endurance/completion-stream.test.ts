// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { type CompletionEnd, streamCompletion } from "./completion-stream.js";

let server: Server | null = null;
afterEach(() => {
	server?.closeAllConnections();
	server?.close();
});

const text = `data: ${JSON.stringify({ choices: [{ text: "a" }] })}\n\n`;
const usage = (count: number) =>
	`data: ${JSON.stringify({ choices: [], usage: { completion_tokens: count } })}\n\n`;
const done = "data: [DONE]\n\n";

/** What a client that asked for three tokens says of this answer. */
async function asked(
	answer: (response: ServerResponse) => void,
	leaveAfter: number | null = null,
): Promise<CompletionEnd> {
	server = createServer((request, response) => {
		request.resume().on("end", () => answer(response));
	});
	await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as AddressInfo;
	return streamCompletion({ port, path: "/v1/completions", body: { max_tokens: 3 }, leaveAfter });
}

it("has nothing to complain of when all tokens came", async () => {
	const end = await asked((response) => response.end(text + text + text + usage(3) + done));
	expect(end).toMatchObject({ status: 200, tokens: 3, left: false, error: null });
});

it.each([
	["a token too few", text + text + usage(2) + done, "other than the asked number of tokens"],
	["no usage", text + text + text + done, "other than the asked number of tokens"],
	["no end", text + text + text + usage(3), "the stream broke off"],
	["an error", `${text}data: {"error":{"message":"gone"}}\n\n${done}`, "error in the stream: gone"],
])("complains of %s", async (_, body, error) => {
	expect(await asked((response) => response.end(body))).toMatchObject({ error });
});

it("complains of a refusal in its words, and of a broken connection", async () => {
	const refused = await asked((response) => response.writeHead(503).end("busy"));
	expect(refused).toMatchObject({ status: 503, error: "status 503: busy" });
	const broken = await asked((response) => response.socket!.resetAndDestroy());
	expect(broken).toMatchObject({ status: 0, error: "read ECONNRESET" });
});

it("leaves in the middle without a complaint, and is seen to leave", async () => {
	let isGone!: Promise<unknown>;
	const end = await asked((response) => {
		isGone = new Promise((resolve) => response.once("close", () => resolve(null)));
		response.write(text + text);
	}, 2);
	expect(end).toMatchObject({ left: true, tokens: 2, error: null });
	await isGone;
});
