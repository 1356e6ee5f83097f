// SPDX-License-Identifier: Apache-2.0
// Preload (node --import) that makes a process speak as a later version may: in every message and record of discovery there
// is something of which nobody here knows. Of multiplexed connections, whose format mux-link.ts has.
import { Socket } from "node:net";

const REQUEST = 1;
const ITEM = 2;
const PREFIX = 9;

/** "beam": {"to": [null]} in MessagePack. */
const UNKNOWN_FIELD = Buffer.from([
	0xa4,
	...Buffer.from("beam"),
	0x81,
	0xa2,
	...Buffer.from("to"),
	0x91,
	0xc0,
]);

function frame(kind, stream, payload) {
	const head = Buffer.alloc(PREFIX);
	head.writeUInt32BE(PREFIX - 4 + payload.length, 0);
	head[4] = kind;
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

/** The frames of one write, or null when it is something else. A write of a multiplexed connection has whole frames. */
function framesOf(bytes) {
	const frames = [];
	let at = 0;
	while (at + PREFIX <= bytes.length) {
		const length = 4 + bytes.readUInt32BE(at);
		const kind = bytes[at + 4];
		if (length < PREFIX || at + length > bytes.length || kind < 1 || kind > 8) return null;
		frames.push({
			kind,
			stream: bytes.readUInt32BE(at + 5),
			payload: bytes.subarray(at + PREFIX, at + length),
		});
		at += length;
	}
	return at === bytes.length && frames.length > 0 ? frames : null;
}

/** A map in MessagePack with one field more; as it is when it is none, or has no room in its first byte. */
function withUnknownField(payload) {
	const isSmallMap = payload[0] >= 0x80 && payload[0] < 0x8f;
	return isSmallMap
		? Buffer.concat([Buffer.from([payload[0] + 1]), payload.subarray(1), UNKNOWN_FIELD])
		: payload;
}

let announced = false;
const { write } = Socket.prototype;
Socket.prototype.write = function (bytes, ...rest) {
	const frames = Buffer.isBuffer(bytes) ? framesOf(bytes) : null;
	if (!frames) return write.call(this, bytes, ...rest);
	const strange = frames.flatMap(({ kind, stream, payload }) => {
		if (kind !== REQUEST && kind !== ITEM) return [frame(kind, stream, payload)];
		if (!announced) process.stderr.write("speaks as the next version\n");
		announced = true;
		// A control frame for the stream and one for the connection, of kinds that nobody knows.
		return [
			frame(200, stream, Buffer.from("urgent")),
			frame(kind, stream, withUnknownField(payload)),
			frame(99, 0, Buffer.alloc(0)),
		];
	});
	return write.call(this, Buffer.concat(strange), ...rest);
};

/** A store of discovery whose owner writes more into its records than others know. */
export function withUnknownFields(store) {
	return new Proxy(store, {
		get(target, name) {
			if (name === "put") return (key, value, lease) => target.put(key, recordWithMore(value), lease);
			const value = Reflect.get(target, name);
			return typeof value === "function" ? value.bind(target) : value;
		},
	});
}

function recordWithMore(record) {
	return record
		.replace(/^\{/, '{"schema":{"major":9,"features":["teleport"]},')
		.replace('"transport":{', '"transport":{"quic":"127.0.0.1:1/x",')
		.replace('"card_json":{', '"card_json":{"future":[{"deep":null}],"weights_digest":"x",')
		.replace('"dyn":{', '"dyn":{"compression":"zstd",');
}
