// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type Logger } from "@dyn/common";
import type { errors, headers, Msg, NatsConnection } from "@nats-io/transport-node";

/** One message as a subscriber gets it. */
export interface NatsMessage {
	readonly body: Uint8Array;
	readonly headers: Readonly<Record<string, string>>;
	/** Answers a request; nothing happens when the message was none. */
	respond(text: string): void;
}

/** The connection of a process to NATS, shared by its planes. It comes back by itself, however long NATS is away. */
export interface NatsLink {
	readonly connected: boolean;
	/** Largest message that the server takes, bytes, headers included. */
	readonly maxMessageBytes: number;
	/** Told of every change of `connected`. Returns what ends that. */
	onChange(listener: (connected: boolean) => void): () => void;
	/** Never throws. What is published while there is no connection is lost; so may be what was just before it broke. */
	publish(subject: string, body: Uint8Array): void;
	/**
	 * Resolves when the server has everything that was published and subscribed before.
	 * @throws DynError UNAVAILABLE
	 */
	flush(): Promise<void>;
	/**
	 * Resolves with the answer of whoever subscribed to `subject`.
	 * @throws DynError UNAVAILABLE when nobody did, nobody answered in time, or NATS is away; PAYLOAD_TOO_LARGE; CANCELLED
	 */
	request(
		subject: string,
		body: Uint8Array,
		headers: Readonly<Record<string, string>>,
		signal: AbortSignal,
	): Promise<Uint8Array>;
	/**
	 * Resolves when the server knows of it, or will once there is a connection. Returns what ends it; messages that are on
	 * their way still come.
	 * @throws DynError UNAUTHENTICATED when the user may not subscribe to `subject`
	 */
	subscribe(subject: string, onMessage: (message: NatsMessage) => void): Promise<() => void>;
	/** Sends what was published, then disconnects. Idempotent. */
	close(): Promise<void>;
}

export interface NatsLinkOptions {
	readonly connection: NatsConnection;
	/** What is needed of the library beside the connection. */
	readonly library: { readonly headers: typeof headers; readonly errors: typeof errors };
	/** Where the servers are, for messages. */
	readonly where: string;
	readonly requestTimeoutMs: number;
	readonly logger: Logger;
}

/** A link over the NATS library's connection. */
export class LibraryNatsLink implements NatsLink {
	readonly #connection: NatsConnection;
	readonly #options: NatsLinkOptions;
	readonly #listeners = new Set<(connected: boolean) => void>();
	/** Each fails something that waits for an answer over this connection. */
	readonly #waiting = new Set<(error: DynError) => void>();
	#connected = true;
	#maxMessageBytes: number;
	#closing: Promise<void> | null = null;

	constructor(options: NatsLinkOptions) {
		this.#connection = options.connection;
		this.#options = options;
		this.#maxMessageBytes = options.connection.info!.max_payload;
		this.#follow().catch((error) =>
			options.logger.error("the state of NATS is not seen any more", { error }),
		);
	}

	get connected(): boolean {
		return this.#connected;
	}

	get maxMessageBytes(): number {
		return this.#maxMessageBytes;
	}

	onChange(listener: (connected: boolean) => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	publish(subject: string, body: Uint8Array): void {
		if (!this.#connected || body.length > this.#maxMessageBytes) return;
		this.#connection.publish(subject, body);
	}

	flush(): Promise<void> {
		return this.#answered("NATS", () => this.#connection.flush());
	}

	async request(
		subject: string,
		body: Uint8Array,
		headers: Readonly<Record<string, string>>,
		signal: AbortSignal,
	): Promise<Uint8Array> {
		const natsHeaders = this.#options.library.headers();
		for (const [name, value] of Object.entries(headers)) natsHeaders.set(name, value);
		const options = { timeout: this.#options.requestTimeoutMs, headers: natsHeaders };
		const answer = await this.#answered(
			subject,
			() => this.#connection.request(subject, body, options),
			signal,
		);
		return answer.data;
	}

	async subscribe(subject: string, onMessage: (message: NatsMessage) => void): Promise<() => void> {
		if (this.#closing) throw this.#unavailable();
		const { logger, where } = this.#options;
		const subscription = this.#connection.subscribe(subject, {
			callback: (error, message) => {
				if (error) return logger.error("NATS ended a subscription", { subject, error });
				try {
					onMessage(fromLibrary(message));
				} catch (thrown) {
					// The library would stop reading the connection.
					logger.error("a message from NATS could not be handled", { subject, error: thrown });
				}
			},
		});
		// Without a connection the library subscribes when it is back.
		await this.flush().catch(() => {});
		if (subscription.isClosed() && !this.#closing)
			throw new DynError(
				"UNAUTHENTICATED",
				`NATS at ${where} does not let this user subscribe to ${subject}: grant the permission`,
			);
		// Until the server knows, messages still come, and somebody may wait for their answer.
		return () => void subscription.drain().catch(() => {});
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #close(): Promise<void> {
		if (this.#connected) await this.flush().catch(() => {});
		this.#change(false);
		await this.#connection.close();
	}

	async #follow(): Promise<void> {
		const { logger, where } = this.#options;
		for await (const status of this.#connection.status()) {
			switch (status.type) {
				case "disconnect":
					if (this.#connected) logger.warn("NATS is away; trying to reach it again", { servers: where });
					this.#change(false);
					break;
				case "reconnect":
					logger.info("NATS is back", { server: status.server });
					this.#maxMessageBytes = this.#connection.info?.max_payload ?? this.#maxMessageBytes;
					this.#change(true);
					break;
				case "error":
					logger.warn("NATS reports an error", { servers: where, error: status.error });
					break;
			}
		}
	}

	#change(connected: boolean): void {
		if (this.#connected === connected || (connected && this.#closing)) return;
		this.#connected = connected;
		if (!connected) for (const fail of this.#waiting) fail(this.#unavailable());
		for (const listener of this.#listeners) listener(connected);
	}

	/** What `ask` resolves with, unless the connection breaks, the time is over or `signal` aborts before. */
	#answered<T>(whom: string, ask: () => Promise<T>, signal?: AbortSignal): Promise<T> {
		if (signal?.aborted) return Promise.reject(cancellationError(signal));
		if (!this.#connected) return Promise.reject(this.#unavailable());
		const { requestTimeoutMs } = this.#options;
		return new Promise((resolve, reject) => {
			const leave = () => {
				clearTimeout(timer);
				this.#waiting.delete(fail);
				signal?.removeEventListener("abort", abort);
			};
			const fail = (error: DynError) => {
				leave();
				reject(error);
			};
			const abort = () => fail(cancellationError(signal!));
			const timer = setTimeout(
				() => fail(new DynError("UNAVAILABLE", `${whom} did not answer within ${requestTimeoutMs} ms`)),
				requestTimeoutMs,
			).unref();
			this.#waiting.add(fail);
			signal?.addEventListener("abort", abort, { once: true });
			ask().then(
				(value) => {
					leave();
					resolve(value);
				},
				(error: Error) => fail(this.#translate(error, whom)),
			);
		});
	}

	#translate(cause: Error, subject: string): DynError {
		const { RequestError, InvalidArgumentError } = this.#options.library.errors;
		if (cause instanceof RequestError && cause.isNoResponders())
			return new DynError("UNAVAILABLE", `nobody serves ${subject} any more`, { cause });
		if (cause instanceof InvalidArgumentError)
			return new DynError(
				"PAYLOAD_TOO_LARGE",
				`the request is larger than the ${this.#maxMessageBytes} bytes that NATS takes; raise max_payload of the NATS server`,
				{ cause },
			);
		return new DynError("UNAVAILABLE", `NATS could not carry the request to ${subject}: ${cause.message}`, {
			cause,
		});
	}

	#unavailable(): DynError {
		const { where } = this.#options;
		return new DynError(
			"UNAVAILABLE",
			this.#closing
				? "the connection to NATS was closed"
				: `NATS at ${where} cannot be reached; it is tried again until it can`,
		);
	}
}

function fromLibrary(message: Msg): NatsMessage {
	const { headers } = message;
	return {
		body: message.data,
		headers: headers ? Object.fromEntries(headers.keys().map((key) => [key, headers.get(key)])) : {},
		respond: (text) => {
			message.respond(text);
		},
	};
}
