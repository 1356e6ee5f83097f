// SPDX-License-Identifier: Apache-2.0
import { afterEach } from "vitest";
import {
	frameOf,
	headersFrame,
	type RawFrame,
	type RawServer,
	startRawServer,
} from "../../http2/__fixtures__/raw-server.js";
import { FrameType } from "../../http2/frames.js";
import type { Header } from "../../http2/hpack/static-table.js";
import {
	createGrpcChannelPool,
	type GrpcCallOptions,
	type GrpcChannelPool,
	type GrpcChannelPoolOptions,
	type GrpcMethod,
} from "../channel-pool.js";
import { prefixed } from "../message-reader.js";

/** Run after each test. */
export const closers: (() => void)[] = [];
afterEach(() => {
	for (const close of closers.splice(0)) close();
});

export const ECHO: GrpcMethod<string, string> = {
	path: "/test.Test/Echo",
	serialize: (text) => Buffer.from(text),
	deserialize: (bytes) => bytes.toString(),
};
export const START: Header[] = [
	[":status", "200"],
	["content-type", "application/grpc"],
];
export const message = (stream: number, text: string, flags = 0): Buffer =>
	frameOf(FrameType.DATA, flags, stream, prefixed(Buffer.from(text)));
export const end = (stream: number, status: string, text = ""): Buffer =>
	headersFrame(stream, [["grpc-status", status], ...(text ? [["grpc-message", text] as const] : [])], true);

interface Served {
	readonly pool: GrpcChannelPool;
	readonly server: RawServer;
}

/** A pool before a server that answers the n-th call with what `answer` makes of its stream. */
export async function serve(
	answer: (stream: number, call: number) => Buffer,
	options: Partial<GrpcChannelPoolOptions> = {},
	onFrame: (frame: RawFrame) => void = () => {},
): Promise<Served> {
	let calls = 0;
	const server = await startRawServer((socket, stream) => socket.write(answer(stream, calls++)), {
		onFrame: (_, frame) => onFrame(frame),
	});
	const pool = await createGrpcChannelPool({
		endpoint: `127.0.0.1:${server.port}`,
		connections: 1,
		retryIntervalMs: 10,
		...options,
	});
	closers.push(
		() => pool.close(),
		() => server.close(),
	);
	return { pool, server };
}

export async function all(pool: GrpcChannelPool, options: GrpcCallOptions = {}): Promise<string[]> {
	const texts: string[] = [];
	for await (const each of pool.stream(ECHO, "x", options)) texts.push(each);
	return texts;
}

