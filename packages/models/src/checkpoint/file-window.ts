// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { DynError } from "@dyn/common";

const WINDOW_BYTES = 1 << 20;

/**
 * Reads a file's header forward, a window at a time, with bounds checks. Little-endian. Synchronous: a tokenizer in a
 * header has 150,000 entries, and awaiting each took 155 ms where this takes 30.
 */
export class FileWindow {
	readonly size: number;
	readonly #path: string;
	readonly #descriptor: number;
	#window: Buffer = Buffer.alloc(0);
	#windowStart = 0;
	#at = 0;

	private constructor(path: string, descriptor: number, size: number) {
		this.#path = path;
		this.#descriptor = descriptor;
		this.size = size;
	}

	/** @throws DynError MODEL_FORMAT when there is no such file or it cannot be opened. */
	static open(path: string): FileWindow {
		try {
			const info = statSync(path); // before opening: opening a pipe would wait for its writer
			if (!info.isFile()) throw new Error("it is not a file");
			return new FileWindow(path, openSync(path, "r"), info.size);
		} catch (error) {
			throw new DynError("MODEL_FORMAT", `cannot open ${path}: ${(error as Error).message}`, {
				cause: error,
			});
		}
	}

	/** Bytes consumed so far. */
	get position(): number {
		return this.#at;
	}

	u8(): number {
		const from = this.#take(1);
		return this.#window.readUInt8(from);
	}
	u16(): number {
		const from = this.#take(2);
		return this.#window.readUInt16LE(from);
	}
	u32(): number {
		const from = this.#take(4);
		return this.#window.readUInt32LE(from);
	}
	u64(): bigint {
		const from = this.#take(8);
		return this.#window.readBigUInt64LE(from);
	}
	/** A 64-bit number, rounded above 2^53. */
	size64(): number {
		const from = this.#take(8);
		return this.#window.readUInt32LE(from) + this.#window.readUInt32LE(from + 4) * 2 ** 32;
	}
	f32(): number {
		const from = this.#take(4);
		return this.#window.readFloatLE(from);
	}
	f64(): number {
		const from = this.#take(8);
		return this.#window.readDoubleLE(from);
	}
	text(bytes: number): string {
		const from = this.#take(bytes);
		return this.#window.toString("utf8", from, from + bytes);
	}

	close(): void {
		closeSync(this.#descriptor);
	}

	/** Where in the window, which this may replace, the next `bytes` bytes are. */
	#take(bytes: number): number {
		if (bytes > this.size - this.#at) {
			throw new DynError(
				"MODEL_FORMAT",
				`${this.#path} is truncated: it ends inside its header; fetch it again`,
				{ details: { file: this.#path } },
			);
		}
		let from = this.#at - this.#windowStart;
		if (from + bytes > this.#window.length) {
			this.#window = Buffer.alloc(Math.min(Math.max(bytes, WINDOW_BYTES), this.size - this.#at));
			this.#windowStart = this.#at;
			from = 0;
			let filled = 0;
			while (filled < this.#window.length) {
				const bytesRead = readSync(
					this.#descriptor,
					this.#window,
					filled,
					this.#window.length - filled,
					this.#at + filled,
				);
				if (bytesRead === 0)
					throw new DynError("MODEL_FORMAT", `${this.#path} became shorter while it was read`);
				filled += bytesRead;
			}
		}
		this.#at += bytes;
		return from;
	}
}
