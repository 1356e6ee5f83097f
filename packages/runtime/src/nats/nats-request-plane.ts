// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type Logger, type RequestContext, silentLogger } from "@dyn/common";
import { slugOf } from "@dyn/protocols/dynamo";
import type { Reachability, RequestPlane, ServedTarget } from "../request-plane/request-plane.js";
import { encodeControlHeader } from "../request-plane/tcp/control-header.js";
import { headersOf } from "../request-plane/tcp/request-context.js";
import { refusalError } from "../request-plane/tcp/request-frame.js";
import { ResponseListener } from "../request-plane/tcp/response-listener.js";
import { Sockets, type TcpTls } from "../request-plane/tcp/sockets.js";
import { encodeTwoPart } from "../request-plane/tcp/two-part.js";
import { borrowBody, type WireFormat } from "../request-plane/tcp/wire-format.js";
import type { Instance, PayloadCodec } from "../types.js";
import type { NatsLink } from "./nats-link.js";
import { NatsRequestServer } from "./nats-request-server.js";

export interface NatsRequestPlaneOptions {
	/** The process's connection to NATS. Whoever made it closes it, after the runtime. */
	readonly nats: NatsLink;
	/** Numeric address at which workers bring their answers. Default 127.0.0.1. */
	readonly responseHost?: string;
	/** Port for that; 0, the default, takes any. */
	readonly responsePort?: number;
	/** How bodies of requests to this process should be written. Default msgpack. */
	readonly codec?: WireFormat;
	/** Requests that an instance serves at once; more are refused as overloaded. Default 10,000. */
	readonly maxRunning?: number;
	/** Certificate and key for the connections of answers, as of the tcp plane. Default: plain TCP. */
	readonly tls?: TcpTls;
	readonly logger?: Logger;
}

/**
 * Dynamo's NATS request plane: a request is a message to the subject of its instance, and the answer comes over a TCP
 * connection that the worker opens. While NATS is away calls fail at once and answers that have begun go on.
 */
export function createNatsRequestPlane(options: NatsRequestPlaneOptions): RequestPlane {
	return new NatsRequestPlane(options);
}

interface Registration {
	readonly server: NatsRequestServer;
	readonly unsubscribe: () => void;
}

class NatsRequestPlane implements RequestPlane {
	readonly kind = "nats_tcp";
	readonly #nats: NatsLink;
	readonly #codec: WireFormat;
	readonly #maxRunning: number;
	readonly #logger: Logger;
	readonly #sockets: Sockets;
	readonly #responses: ResponseListener;
	readonly #registrations = new Map<string, Registration>();

	constructor(options: NatsRequestPlaneOptions) {
		this.#nats = options.nats;
		this.#codec = options.codec ?? "msgpack";
		this.#maxRunning = options.maxRunning ?? 10_000;
		this.#logger = options.logger ?? silentLogger;
		this.#sockets = new Sockets(options.tls);
		this.#responses = new ResponseListener(
			options.responseHost ?? "127.0.0.1",
			options.responsePort ?? 0,
			this.#sockets,
		);
	}

	async register(target: ServedTarget): Promise<Reachability> {
		const subject = subjectOf(target);
		const server = new NatsRequestServer(target, this.#maxRunning, this.#sockets, this.#logger);
		const unsubscribe = await this.#nats.subscribe(subject, (message) => server.receive(message));
		this.#registrations.set(subject, { server, unsubscribe });
		return { transport: { kind: "nats_tcp", subject }, requestCodec: this.#codec, multiplexed: false };
	}

	unregister(target: Pick<ServedTarget, "id" | "path">): void {
		const subject = subjectOf(target);
		const registration = this.#registrations.get(subject);
		this.#registrations.delete(subject);
		registration?.server.leave();
		registration?.unsubscribe();
	}

	async *call(
		instance: Instance,
		request: unknown,
		context: RequestContext,
		codec: PayloadCodec,
	): AsyncGenerator<unknown, void> {
		const { transport, requestCodec } = instance;
		if (transport.kind !== "nats_tcp")
			throw new DynError("INTERNAL", `instance ${instance.id} is not reached over nats`);
		const { signal } = context;
		const format = requestCodec ?? "json";
		const response = await this.#responses.expect(format);
		const abort = () => response.kill(cancellationError(signal));
		signal.addEventListener("abort", abort, { once: true });
		try {
			const { address, subject } = response;
			const control = encodeControlHeader({ id: context.id, format, address, subject });
			const message = encodeTwoPart(control, borrowBody(codec.encodeRequest(request), format));
			const answer = await this.#nats.request(transport.subject, message, headersOf(context), signal);
			const refusal = refusalError(new TextDecoder().decode(answer));
			if (refusal) throw refusal;
			response.accepted();
			for await (const item of response.items) yield codec.decodeItem(item);
		} finally {
			signal.removeEventListener("abort", abort);
			response.abandon();
			await response.items.return();
		}
	}

	async close(): Promise<void> {
		for (const { server, unsubscribe } of this.#registrations.values()) {
			unsubscribe();
			server.close();
		}
		this.#registrations.clear();
		await this.#responses.close();
	}
}

/** As Dynamo: the slug of `namespace_component`, then the endpoint with the instance id in hex. */
function subjectOf({ id, path }: Pick<ServedTarget, "id" | "path">): string {
	return `${slugOf(`${path.namespace}_${path.component}`)}.${path.endpoint}-${id.toString(16)}`;
}
