// SPDX-License-Identifier: Apache-2.0

/** One message as a subscriber gets it. */
export interface NatsMessage {
	readonly body: Uint8Array;
	readonly headers: Readonly<Record<string, string>>;
	/** Answers a request; nothing happens when the message was none. */
	respond(body: string | Uint8Array): void;
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
