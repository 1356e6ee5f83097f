// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { FRAME_HEADER_BYTES, FrameFlag, FrameType, newFrame, PREFACE } from "../frames.js";
import { encodeHeaders } from "../hpack/header-encoder.js";
import type { Header } from "../hpack/static-table.js";

/** A server that sends what it is told to, right or wrong. */
export interface RawServer {
	readonly port: number;
	/** Connections so far. */
	readonly sockets: readonly Socket[];
	close(): void;
}

/** A frame of a client. */
export interface RawFrame {
	readonly type: number;
	readonly stream: number;
	readonly payload: Buffer;
}

export interface RawServerOptions {
	/** Sent at once. Default: settings. */
	readonly greeting?: Buffer;
	/** Told of every frame that comes. */
	readonly onFrame?: (socket: Socket, frame: RawFrame) => void;
	readonly port?: number;
}

/** @param onRequest called with every HEADERS frame of a client */
export async function startRawServer(
	onRequest: (socket: Socket, stream: number) => void,
	{ greeting = frameOf(FrameType.SETTINGS, 0, 0), onFrame, port = 0 }: RawServerOptions = {},
): Promise<RawServer> {
	const sockets: Socket[] = [];
	const server = createServer((socket) => {
		sockets.push(socket);
		socket.on("error", () => {}); // what is closed in the middle
		socket.write(greeting);
		let bytes = Buffer.alloc(0);
		let at = PREFACE.length;
		socket.on("data", (chunk) => {
			bytes = Buffer.concat([bytes, chunk]);
			while (bytes.length >= at + FRAME_HEADER_BYTES) {
				const end = at + FRAME_HEADER_BYTES + bytes.readUIntBE(at, 3);
				if (end > bytes.length) return;
				const [type, stream] = [bytes[at + 3]!, bytes.readUInt32BE(at + 5)];
				onFrame?.(socket, { type, stream, payload: bytes.subarray(at + FRAME_HEADER_BYTES, end) });
				if (type === FrameType.HEADERS) onRequest(socket, stream);
				at = end;
			}
		});
	});
	server.listen(port, "127.0.0.1");
	await once(server, "listening");
	return {
		port: (server.address() as AddressInfo).port,
		sockets,
		close: () => {
			server.close();
			for (const socket of sockets) socket.destroy();
		},
	};
}

export function frameOf(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
	const frame = newFrame(type, flags, stream, payload.length);
	frame.set(payload, FRAME_HEADER_BYTES);
	return frame;
}

export const headersFrame = (stream: number, headers: readonly Header[], isLast = false): Buffer =>
	frameOf(
		FrameType.HEADERS,
		FrameFlag.END_HEADERS | (isLast ? FrameFlag.END_STREAM : 0),
		stream,
		encodeHeaders(headers, false),
	);

export function u32(...values: number[]): Buffer {
	const bytes = Buffer.alloc(values.length * 4);
	for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4);
	return bytes;
}
