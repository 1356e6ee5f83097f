// SPDX-License-Identifier: Apache-2.0
import { encodeMsgpack } from "@dyn/protocols/msgpack";
import { loadZmq, type Zmq } from "@dyn/runtime/zmq";

type XPublisher = InstanceType<Zmq["XPublisher"]>;
type Router = InstanceType<Zmq["Router"]>;

/** One rank of an engine as TensorRT-LLM publishes its KV events: a PUB socket, and a ROUTER socket that replays. */
export class EngineRank {
	/** First sequences that were asked for. */
	readonly asked: bigint[] = [];
	readonly endpoint: string;
	readonly replayEndpoint: string;
	readonly #publisher: XPublisher;
	readonly #router: Router;
	readonly #replaying: Promise<void>;
	readonly #kept: Buffer[] = [];
	#next = 0n;

	private constructor(publisher: XPublisher, router: Router) {
		this.#publisher = publisher;
		this.#router = router;
		this.endpoint = publisher.lastEndpoint!;
		this.replayEndpoint = router.lastEndpoint!;
		this.#replaying = this.#replay().catch(() => {});
	}

	static async start(): Promise<EngineRank> {
		const zmq = await loadZmq();
		const publisher = new zmq.XPublisher({ linger: 0 });
		const router = new zmq.Router({ linger: 0 });
		await publisher.bind("tcp://127.0.0.1:*");
		await router.bind("tcp://127.0.0.1:*");
		return new EngineRank(publisher, router);
	}

	/** Resolves when somebody listens. */
	async subscribed(): Promise<void> {
		await this.#publisher.receive();
	}

	/** What it sends next; lost on the way when `lost`, and not kept either when `forgotten`. */
	async publish(events: readonly unknown[], { lost = false, forgotten = false }: { lost?: boolean; forgotten?: boolean } = {}): Promise<void> {
		const payload = Buffer.from(encodeMsgpack([1.5, events, null]));
		if (!forgotten) this.#kept[Number(this.#next)] = payload;
		if (!lost) await this.send([Buffer.alloc(0), bigEndian(this.#next), payload]);
		this.#next++;
	}

	async send(frames: Buffer[]): Promise<void> {
		await this.#publisher.send(frames);
	}

	/** The engine is started again: it counts from the beginning and keeps nothing. */
	restart(): void {
		this.#next = 0n;
		this.#kept.length = 0;
	}

	async close(): Promise<void> {
		this.#publisher.close();
		this.#router.close();
		await this.#replaying;
	}

	async #replay(): Promise<void> {
		for await (const [client, delimiter, start] of this.#router) {
			const from = start!.readBigUInt64BE();
			this.asked.push(from);
			for (let i = from; i < this.#next; i++) {
				const payload = this.#kept[Number(i)];
				if (payload) await this.#router.send([client!, delimiter!, bigEndian(i), payload]);
			}
			await this.#router.send([client!, delimiter!, bigEndian(-1n), Buffer.alloc(0)]);
		}
	}
}

function bigEndian(value: bigint): Buffer {
	const bytes = Buffer.alloc(8);
	bytes.writeBigInt64BE(value);
	return bytes;
}
