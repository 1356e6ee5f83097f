// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const protoFolder = fileURLToPath(new URL("../../proto/", import.meta.url));

/** The schema as protobufjs reads it from proto/. */
export function loadSchema(): protobuf.Type[] {
	const root = new protobuf.Root();
	root.resolvePath = (_origin, target) => (target.startsWith("google/") ? target : protoFolder + target);
	root.loadSync(readdirSync(`${protoFolder}openengine/v1`).map((name) => `openengine/v1/${name}`));
	root.resolveAll();
	const { nestedArray } = root.lookup("openengine.v1") as protobuf.Namespace;
	return nestedArray.filter((thing) => thing instanceof protobuf.Type);
}

/** Keys in the order in which protobuf's deterministic encoding has them. */
const structOf = (salt: number) => ({
	half: 12.5,
	list: [1, "two", [false, null], { deep: [0.25] }],
	negative: -3,
	nothing: null,
	object: { empty: {}, none: [] },
	salt,
	text: "17",
	yes: true,
});

/** The choices of a type's widest oneof: so many samples show every field. */
export function variantsOf(type: protobuf.Type): number {
	return Math.max(1, ...type.oneofsArray.filter((oneof) => !oneof.isProto3Optional).map((oneof) => oneof.fieldsArray.length));
}

/** A message with every field set to a value of its own; of each oneof the member `variant`. */
export function sampleOf(type: protobuf.Type, variant = 0): Record<string, unknown> {
	const message: Record<string, unknown> = {};
	for (const field of type.fieldsArray) {
		const oneof = field.partOf && !field.partOf.isProto3Optional ? field.partOf.fieldsArray : null;
		if (oneof && oneof[variant % oneof.length] !== field) continue;
		message[field.name] = field.repeated
			? [valueOf(field, variant, 1), valueOf(field, variant, 2)]
			: valueOf(field, variant, 0);
	}
	return message;
}

function valueOf(field: protobuf.Field, variant: number, salt: number): unknown {
	const { resolvedType, id } = field;
	if (resolvedType instanceof protobuf.Enum) {
		const values = Object.values(resolvedType.values);
		return values[1 + ((id + salt) % (values.length - 1))];
	}
	if (resolvedType?.fullName === ".google.protobuf.Struct") return structOf(salt);
	if (resolvedType) return sampleOf(resolvedType, variant + salt);
	switch (field.type) {
		case "string":
			return `${field.name} ${salt} ü`;
		case "bytes":
			return Uint8Array.from([0, 255, id, salt]);
		case "bool":
			return true;
		case "double":
			return -id - 0.125 - salt;
		case "int32":
			return -(2 ** 31) + id + salt;
		case "uint32":
			return 2 ** 32 - 1 - id - salt;
		case "int64":
			return -(2n ** 63n) + BigInt(id + salt);
		case "uint64":
			return 2n ** 64n - 1n - BigInt(id + salt);
	}
	throw new Error(`no sample for ${field.type}`);
}

/** In protobuf's JSON: 64-bit integers as text, bytes in base64. */
export function toProtoJson(message: unknown): unknown {
	if (typeof message === "bigint") return String(message);
	if (message instanceof Uint8Array) return Buffer.from(message).toString("base64");
	if (Array.isArray(message)) return message.map(toProtoJson);
	if (typeof message !== "object" || message === null) return message;
	return Object.fromEntries(Object.entries(message).map(([key, value]) => [key, toProtoJson(value)]));
}
