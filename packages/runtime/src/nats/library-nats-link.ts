// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type Logger } from "@dyn/common";
import type { errors, headers, Msg, NatsConnection } from "@nats-io/transport-node";
import type { NatsLink, NatsMessage } from "./nats-link.js";

export interface LibraryNatsLinkOptions {
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
	readonly #options: LibraryNatsLinkOptions;
	readonly #listeners = new Set<(connected: boolean) => void>();
	/** Each fails something that waits for an answer over this connection. */
	readonly #waiting = new Set<(error: DynError) => void>();
	#connected = true;
	#maxMessageBytes: number;
	#closing: Promise<void> | null = null;

	constructor(options: LibraryNatsLinkOptions) {
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
		this.#change(false);
		if (!this.#closing) logger.error("the NATS library gave up; restart the process", { servers: where });
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

	#translate(cause: Error, whom: string): DynError {
		const { RequestError, InvalidArgumentError } = this.#options.library.errors;
		if (cause instanceof RequestError && cause.isNoResponders())
			return new DynError("UNAVAILABLE", `nobody serves ${whom} any more`, { cause });
		if (cause instanceof InvalidArgumentError)
			return new DynError(
				"PAYLOAD_TOO_LARGE",
				`the request is larger than the ${this.#maxMessageBytes} bytes that NATS takes; raise max_payload of the NATS server`,
				{ cause },
			);
		return new DynError("UNAVAILABLE", `${whom} did not answer: ${cause.message}`, { cause });
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
		respond: (body) => {
			message.respond(body);
		},
	};
}
