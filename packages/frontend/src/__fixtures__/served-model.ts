// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest, ModelCard } from "@dyn/protocols";
import { createRuntime, type Runtime } from "@dyn/runtime";
import { createFrontend, type Frontend, type FrontendOptions } from "../index.js";

/** How the fake engine answers one request. */
export type Answer = (
	request: GenerateRequest,
	context: RequestContext,
) => AsyncGenerator<EngineOutput, void>;

/** One delta of choice 0, a token per byte of `text`. */
export const delta = (text: string, extra: Partial<EngineOutput> = {}): EngineOutput => ({
	index: 0,
	tokenIds: [...Buffer.from(text)],
	logprobs: null,
	finishReason: null,
	stopTokenId: null,
	usage: null,
	...extra,
});

/** The last delta of a choice. */
export const end = (finishReason: EngineOutput["finishReason"] = "eos", index = 0): EngineOutput =>
	delta("", { index, finishReason, usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 } });

export const aborted = (signal: AbortSignal): Promise<unknown> =>
	signal.aborted
		? Promise.resolve()
		: new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));

/** A promise and the function that fulfils it. */
export function signalled(): { readonly reached: Promise<void>; readonly reach: () => void } {
	let reach!: () => void;
	const reached = new Promise<void>((resolve) => {
		reach = resolve;
	});
	return { reached, reach };
}

/** The JSON events of a stream, without its end mark. */
export const eventsOf = (text: string): ReturnType<typeof JSON.parse>[] =>
	[...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!));

/** The model "m" (context 100) behind a real runtime and a frontend on a free port; what it answers is up to the test. */
export class ServedModel {
	readonly runtime: Runtime;
	/** Requests as the engine got them. */
	readonly seen: GenerateRequest[] = [];
	answer: Answer;
	#frontend: Frontend | null = null;
	#published = 0;
	readonly #folder: string;

	private constructor(runtime: Runtime, folder: string) {
		this.runtime = runtime;
		this.#folder = folder;
		this.answer = async function* () {
			yield delta("Hello");
			yield delta(" you");
			yield end();
		};
	}

	static async create(card: Partial<ModelCard> = {}): Promise<ServedModel> {
		const folder = mkdtempSync(join(tmpdir(), "dyn-frontend-"));
		writeTokenizer(folder);
		const served = new ServedModel(await createRuntime(), folder);
		await served.publish(card);
		return served;
	}

	/** Serves one more model, or one more instance of "m", before `start`; returns what takes it away. */
	async publish(card: Partial<ModelCard> = {}): Promise<() => Promise<void>> {
		return (await this.addInstance(card)).withdraw;
	}

	/** As `publish`, for an instance that may have answers of its own. */
	async addInstance(
		card: Partial<ModelCard> = {},
		answer: Answer | null = null,
		path = "a.b.c",
	): Promise<{ readonly id: bigint; withdraw(): Promise<void>; close(): Promise<void> }> {
		const endpoint = await this.runtime.endpoint(path).serve((request, context) => {
			this.seen.push(request as GenerateRequest);
			return (answer ?? this.answer)(request as GenerateRequest, context);
		});
		const { withdraw } = await this.runtime.models.publish(
			{
				name: "m",
				source: "m",
				tokenizerPath: this.#folder,
				files: null,
				maxChoices: 128,
				localPrefill: false,
				workerType: "aggregated",
				needs: [],
				chatTemplatePath: null,
				endpointTypes: ["chat", "completions"],
				contextLength: 100,
				kvBlockSize: 32,
				totalKvBlocks: 10,
				maxNumSeqs: 4,
				maxNumBatchedTokens: 64,
				dpSize: 1,
				eosTokenIds: [256],
				logitsProcessors: ["known"],
				logprobs: true,
				createdSeconds: 7,
				...card,
			},
			endpoint.instance,
		);
		this.#published++;
		return { id: endpoint.instance.id, withdraw, close: () => endpoint.close() };
	}

	/** A file for the template that a card names, beside the model's. */
	async templateOf({ chatTemplatePath }: Partial<ModelCard>): Promise<Partial<ModelCard>> {
		if (!chatTemplatePath) return {};
		const path = join(this.#folder, chatTemplatePath);
		writeFileSync(path, "{% for m in messages %}{{ m.content }}!{% endfor %}");
		return { chatTemplatePath: path };
	}

	async start(options: Partial<FrontendOptions> = {}): Promise<Frontend> {
		this.#frontend = await createFrontend({ runtime: this.runtime, port: 0, ...options });
		await this.#frontend.ready; // for one model; the others follow
		while ((await this.#known()) < this.#published) await new Promise(setImmediate);
		return this.#frontend;
	}

	/** Instances that the frontend has heard of. */
	async #known(): Promise<number> {
		const health = await fetch(`${this.address}/health`);
		return ((await health.json()) as { instances: unknown[] }).instances.length;
	}

	get frontend(): Frontend {
		if (!this.#frontend) throw new Error("start() first");
		return this.#frontend;
	}

	get address(): string {
		return this.frontend.address;
	}

	async close(): Promise<void> {
		await this.#frontend?.close();
		await this.runtime.close();
		rmSync(this.#folder, { recursive: true });
	}

	post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
		return fetch(this.address + path, {
			method: "POST",
			headers: { "content-type": "application/json", ...headers },
			body: typeof body === "string" ? body : JSON.stringify(body),
		});
	}

	chat(extra: object = {}, headers: Record<string, string> = {}): Promise<Response> {
		const messages = [{ role: "user", content: "hi" }];
		return this.post("/v1/chat/completions", { model: "m", messages, ...extra }, headers);
	}

	complete(extra: object = {}): Promise<Response> {
		return this.post("/v1/completions", { model: "m", prompt: "hi", ...extra });
	}

	/** A raw connection. */
	connect(): RawConnection {
		return new RawConnection(connect(Number(new URL(this.address).port), "127.0.0.1"));
	}
}

/** A socket whose received text can be waited for. */
export class RawConnection {
	readonly socket: Socket;
	/** Everything received so far. */
	text = "";
	readonly closed: Promise<void>;

	constructor(socket: Socket) {
		this.socket = socket;
		socket.setEncoding("utf8");
		socket.on("data", (chunk) => {
			this.text += chunk;
		});
		socket.on("error", () => {}); // a reset is one of the ways to be closed
		this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
	}

	/** Writes a POST of JSON; `headers` are whole lines. */
	post(path: string, body: unknown, headers: readonly string[] = []): this {
		const json = typeof body === "string" ? body : JSON.stringify(body);
		const lines = [
			`POST ${path} HTTP/1.1`,
			"host: x",
			"content-type: application/json",
			`content-length: ${Buffer.byteLength(json)}`,
			...headers,
		];
		this.socket.write(`${lines.join("\r\n")}\r\n\r\n${json}`);
		return this;
	}

	/** Resolves when `text` holds `part` `times` times; rejects if the connection closes before. */
	async until(part: string, times = 1): Promise<void> {
		while (this.text.split(part).length <= times) {
			await new Promise<void>((resolve, reject) => {
				const closed = () => reject(new Error(`closed before ${JSON.stringify(part)}: ${this.text}`));
				if (this.socket.closed) return closed();
				this.socket.once("close", closed);
				this.socket.once("data", () => {
					this.socket.off("close", closed);
					resolve();
				});
			});
		}
	}
}

/** A byte-level tokenizer of 256 bytes and one control token, <|end|> = 256. */
function writeTokenizer(folder: string): void {
	let shifted = 0;
	const vocab = Object.fromEntries(
		Array.from({ length: 256 }, (_, byte) => {
			const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
			return [String.fromCodePoint(printable ? byte : 256 + shifted++), byte];
		}),
	);
	const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
	const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
	const document = {
		version: "1.0",
		truncation: null,
		padding: null,
		added_tokens: [{ id: 256, content: "<|end|>", ...flags }],
		normalizer: null,
		pre_tokenizer: byteLevel,
		post_processor: null,
		decoder: byteLevel,
		model: {
			type: "BPE",
			dropout: null,
			unk_token: null,
			continuing_subword_prefix: null,
			end_of_word_suffix: null,
			fuse_unk: false,
			byte_fallback: false,
			ignore_merges: false,
			vocab,
			merges: [],
		},
	};
	const template = "{% for m in messages %}{{ m.content }}{% endfor %}";
	writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(document));
	writeFileSync(
		join(folder, "tokenizer_config.json"),
		JSON.stringify({ eos_token: "<|end|>", chat_template: template }),
	);
}
