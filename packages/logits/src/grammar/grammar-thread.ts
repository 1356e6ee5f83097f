// SPDX-License-Identifier: Apache-2.0
import { Worker } from "node:worker_threads";
import { GrammarError } from "./grammar-error.js";
import { checkLength, type Guide } from "./guide.js";
import { BusyError, type GuidedText, type GuidedTexts } from "./guided-text.js";
import type { ThreadAnswer, ThreadRequest } from "./thread-messages.js";
import { type TextOwner, ThreadText } from "./thread-text.js";
import type { Vocabulary } from "./vocabulary.js";

export interface GrammarThreadOptions {
	readonly vocabulary: Vocabulary;
	/** Longest that one guide may take to compile, or one token to be worked out, ms. Default 5,000. */
	readonly limitMs?: number;
	/** Most memory of the thread's heap, MiB. Default 768. */
	readonly maxHeapMiB?: number;
}

/** Texts that may wait to be opened. */
const MAX_PENDING = 1_024;
/** Guides remembered that have cost a thread its life. */
const MAX_FATAL = 64;

/**
 * Guided texts on a thread of their own, which is started when the first is opened. A guide that takes too long or too
 * much memory costs the thread its life and is refused from then on; all other texts go on in a new one.
 */
export function createGrammarThread(options: GrammarThreadOptions): GuidedTexts {
	return new GrammarThread(options);
}

class GrammarThread implements GuidedTexts, TextOwner {
	readonly #options: GrammarThreadOptions;
	readonly #texts = new Set<ThreadText>();
	/** Texts that wait for an answer, in the order of the questions. */
	#pending: ThreadText[] = [];
	readonly #fatal = new Map<string, GrammarError>();
	#worker: Worker | null = null;
	/** Counts threads from 1. */
	#thread = 0;
	#isReady = false;
	#timer: NodeJS.Timeout | undefined;
	#ids = 0;
	#closed = false;

	constructor(options: GrammarThreadOptions) {
		this.#options = options;
	}

	async open(guide: Guide, tokens: ArrayLike<number> = []): Promise<GuidedText> {
		if (this.#closed) throw new Error("the grammar thread is closed");
		checkLength(guide);
		const fatal = this.#fatal.get(JSON.stringify(guide));
		if (fatal) throw fatal;
		if (this.#pending.length >= MAX_PENDING)
			throw new BusyError(`${this.#pending.length} guided answers wait for their grammar; try again`);
		const text = new ThreadText(this, this.#ids++, guide, tokens);
		this.#texts.add(text);
		this.#ask(text, null);
		await text.ready();
		try {
			text.next();
			return text;
		} catch (error) {
			text.close();
			throw error;
		}
	}

	advance(text: ThreadText, tokenId: number): void {
		this.#ask(text, tokenId);
	}

	close(): Promise<void>;
	close(text: ThreadText): void;
	close(text?: ThreadText): Promise<void> | undefined {
		if (!text) return this.#end();
		this.#texts.delete(text);
		if (text.thread === this.#thread) this.#send({ kind: "close", id: text.id });
		return undefined;
	}

	async #end(): Promise<void> {
		this.#closed = true;
		for (const text of this.#texts) text.fail(new Error("the grammar thread is closed"));
		await this.#stop();
	}

	/** @param tokenId the newest token; null, or when the thread does not know the text: all of it */
	#ask(text: ThreadText, tokenId: number | null): void {
		const worker = this.#start();
		worker.ref();
		const known = tokenId !== null && text.thread === this.#thread;
		text.thread = this.#thread;
		this.#pending.push(text);
		const { id, guide, tokens } = text;
		this.#send(known ? { kind: "advance", id, tokenId } : { kind: "open", id, guide, tokens });
		if (this.#pending.length === 1) this.#watch();
	}

	#send(request: ThreadRequest): void {
		this.#worker?.postMessage(request);
	}

	#start(): Worker {
		if (this.#worker) return this.#worker;
		const worker = new Worker(workerFile(), {
			workerData: { vocabulary: this.#options.vocabulary },
			resourceLimits: { maxOldGenerationSizeMb: this.#options.maxHeapMiB ?? 768 },
		});
		worker.on("message", (answer: ThreadAnswer) => this.#hear(worker, answer));
		worker.on("error", (error: NodeJS.ErrnoException) => {
			const tooLarge = error.code === "ERR_WORKER_OUT_OF_MEMORY";
			this.#lose(worker, tooLarge ? new GrammarError("it needs too much memory; simplify it") : error);
		});
		worker.on("exit", (code) => this.#lose(worker, new Error(`the grammar thread ended with code ${code}`)));
		this.#thread++;
		this.#isReady = false;
		this.#worker = worker;
		return worker;
	}

	#hear(worker: Worker, answer: ThreadAnswer): void {
		if (worker !== this.#worker) return;
		if (answer.kind === "ready") {
			this.#isReady = true;
		} else {
			const text = this.#pending.shift();
			if (answer.kind === "next") text?.succeed(answer.next);
			else text?.fail(answer.fault ? new GrammarError(answer.message) : new Error(answer.message));
		}
		this.#watch();
	}

	/** Gives the question that the thread works on its time. */
	#watch(): void {
		clearTimeout(this.#timer);
		const worker = this.#worker;
		if (this.#pending.length === 0) worker?.unref();
		if (this.#pending.length === 0 || !this.#isReady || !worker) return;
		const limitMs = this.#options.limitMs ?? 5_000;
		this.#timer = setTimeout(
			() => this.#lose(worker, new GrammarError(`it takes longer than ${limitMs} ms; simplify it`)),
			limitMs,
		).unref();
	}

	/** The thread is of no use any more. The oldest question is to blame; whoever else waits is asked for again. */
	#lose(worker: Worker, reason: Error): void {
		if (worker !== this.#worker) return;
		const [culprit, ...others] = this.#pending;
		void this.#stop();
		if (this.#closed) return;
		if (!(reason instanceof GrammarError)) {
			for (const text of [culprit, ...others]) text?.fail(reason);
			return;
		}
		if (culprit) this.#blame(culprit.guide, reason);
		culprit?.fail(reason);
		for (const text of others) {
			const fatal = this.#fatal.get(JSON.stringify(text.guide));
			if (fatal) text.fail(fatal);
			else if (!text.closed) this.#ask(text, null);
		}
	}

	#blame(guide: Guide, reason: GrammarError): void {
		this.#fatal.set(JSON.stringify(guide), reason);
		if (this.#fatal.size > MAX_FATAL) this.#fatal.delete(this.#fatal.keys().next().value!);
	}

	async #stop(): Promise<void> {
		clearTimeout(this.#timer);
		const worker = this.#worker;
		this.#worker = null;
		this.#pending = [];
		await worker?.terminate();
	}
}

/** Beside the built package; sources, which a thread cannot run, use what was built from them last. */
function workerFile(): URL {
	const isSource = import.meta.url.endsWith(".ts");
	return new URL(isSource ? "../../dist/grammar-worker.js" : "./grammar-worker.js", import.meta.url);
}
