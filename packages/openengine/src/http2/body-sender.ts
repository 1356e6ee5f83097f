// SPDX-License-Identifier: Apache-2.0
import { DEFAULT_WINDOW_BYTES, Http2Code, MAX_INT31, ProtocolError } from "./frames.js";
import type { Outbox } from "./outbox.js";
import type { PeerSettings } from "./peer-settings.js";
import type { Http2Stream } from "./stream.js";

/** Sends the bodies of requests as fast as the other side's windows and the socket allow. */
export class BodySender {
	readonly #outbox: Outbox;
	readonly #settings: PeerSettings;
	readonly #unsent = new Set<Http2Stream>();
	#window: number = DEFAULT_WINDOW_BYTES;

	constructor(outbox: Outbox, settings: PeerSettings) {
		this.#outbox = outbox;
		this.#settings = settings;
	}

	/** Begins, or goes on, with the stream's body. */
	send(stream: Http2Stream): void {
		while (!stream.isSent) {
			const bytes = Math.min(this.#window, stream.sendWindow, this.#settings.maxFrameBytes);
			if (bytes <= 0 || this.#outbox.isFull) {
				this.#unsent.add(stream);
				return;
			}
			const [header, piece] = stream.nextPiece(bytes);
			this.#window -= piece.length;
			this.#outbox.write(header);
			this.#outbox.write(piece);
		}
		this.#unsent.delete(stream);
	}

	/** Goes on with all. */
	sendAll(): void {
		for (const stream of this.#unsent) this.send(stream);
	}

	forget(stream: Http2Stream): void {
		this.#unsent.delete(stream);
	}

	/** The other side takes `bytes` more, of the stream or, without one, of all together. @throws ProtocolError */
	grant(stream: Http2Stream | null, bytes: number): void {
		const window = (stream ? stream.sendWindow : this.#window) + bytes;
		if (window > MAX_INT31)
			throw new ProtocolError(Http2Code.FLOW_CONTROL_ERROR, `a window of ${window} bytes`);
		if (stream) {
			stream.sendWindow = window;
			this.send(stream);
		} else {
			this.#window = window;
			this.sendAll();
		}
	}
}
