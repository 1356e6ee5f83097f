// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, invalidArgument, type RequestContext } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad, LoraAdapters } from "@dyn/engine";
import type { EmbedOutput, EmbedRequest, EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { deferredIterable } from "./deferred-iterable.js";
import type { EngineCore } from "./engine-core.js";

/**
 * Data-parallel ranks as one engine. Each rank is an engine of its own, with a scheduler and a KV cache that no other one
 * shares; what happens at one does not touch the others. A request goes to the rank that it names, else always to the same
 * one of its conversation, else to the one with the fewest requests.
 */
export class RankedEngine implements Engine {
	readonly logitsProcessors: { readonly names: readonly string[] };
	readonly #ranks: readonly EngineCore[];
	/** Requests under way, by rank. */
	readonly #underWay: number[];
	#subscriber: AsyncQueue<KvEvent> | null = null;

	/** @param ranks at least one, each of which says that it is the rank of its position */
	constructor(ranks: readonly EngineCore[]) {
		this.#ranks = ranks;
		this.#underWay = ranks.map(() => 0);
		this.logitsProcessors = ranks[0]!.logitsProcessors;
	}

	async start(): Promise<EngineInfo> {
		const [info] = await Promise.all(this.#ranks.map((rank) => rank.start()));
		return { ...info!, dpSize: this.#ranks.length };
	}

	generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		return deferredIterable(async () => {
			const { routing } = request;
			const dpRank = this.#rankFor(routing.dpRank, routing.conversationId);
			const outputs = this.#ranks[dpRank]!.generate({ ...request, routing: { ...routing, dpRank } }, context);
			this.#underWay[dpRank]!++;
			return telling(outputs[Symbol.asyncIterator](), () => this.#underWay[dpRank]!--);
		});
	}

	async embed(request: EmbedRequest, context: RequestContext): Promise<EmbedOutput> {
		const dpRank = this.#rankFor(request.dpRank, null);
		this.#underWay[dpRank]!++;
		try {
			return await this.#ranks[dpRank]!.embed({ ...request, dpRank }, context);
		} finally {
			this.#underWay[dpRank]!--;
		}
	}

	/** Of all ranks: an adapter is at each of them. */
	get lora(): LoraAdapters | undefined {
		return this.#ranks[0]!.lora;
	}

	/** Of all ranks; each rank's own are numbered without gaps. */
	kvEvents(): AsyncIterable<KvEvent> {
		this.#subscriber?.end();
		const iterators = this.#ranks.map((rank) => rank.kvEvents()[Symbol.asyncIterator]());
		const queue = new AsyncQueue<KvEvent>(() => {
			for (const iterator of iterators) void iterator.return?.();
		});
		this.#subscriber = queue;
		for (const iterator of iterators) void forward(iterator, queue);
		return queue;
	}

	load(): readonly EngineLoad[] {
		return this.#ranks.flatMap((rank) => rank.load());
	}

	/** The worst of the ranks'. */
	health(): EngineHealth {
		const healths = this.#ranks.map((rank) => rank.health());
		return (
			healths.find(({ status }) => status === "dead") ??
			healths.find(({ status }) => status === "stalled") ??
			healths[0]!
		);
	}

	async drain(): Promise<void> {
		await Promise.all(this.#ranks.map((rank) => rank.drain()));
	}

	async close(): Promise<void> {
		await Promise.all(this.#ranks.map((rank) => rank.close()));
		this.#subscriber?.end();
	}

	#rankFor(dpRank: number | null, conversationId: string | null): number {
		const { length } = this.#ranks;
		if (dpRank !== null) {
			if (Number.isInteger(dpRank) && dpRank >= 0 && dpRank < length) return dpRank;
			throw invalidArgument("dp_rank", `dp_rank is ${dpRank}, but this engine has ranks 0 to ${length - 1}`);
		}
		if (conversationId !== null) {
			let hash = 0;
			for (const character of conversationId) hash = (hash * 31 + character.codePointAt(0)!) >>> 0;
			return hash % length;
		}
		return this.#underWay.indexOf(Math.min(...this.#underWay));
	}
}

/** The same outputs; `onEnd` is called once, when they have ended or nobody wants them any more. */
function telling(
	outputs: AsyncIterator<EngineOutput, undefined>,
	onEnd: () => void,
): AsyncIterator<EngineOutput, undefined> {
	let tell: (() => void) | null = onEnd;
	const end = () => {
		tell?.();
		tell = null;
	};
	return {
		async next() {
			try {
				const result = await outputs.next();
				if (result.done) end();
				return result;
			} catch (error) {
				end();
				throw error;
			}
		},
		async return() {
			end();
			await outputs.return?.();
			return { done: true, value: undefined };
		},
	};
}

async function forward(
	iterator: AsyncIterator<KvEvent, undefined>,
	queue: AsyncQueue<KvEvent>,
): Promise<void> {
	for (let next = await iterator.next(); !next.done; next = await iterator.next()) queue.push(next.value);
}
