// SPDX-License-Identifier: Apache-2.0

import { DynError } from "@dyn/common";
import { decodeModelCard, encodeModelCard, PlainData, slugOf } from "@dyn/protocols/dynamo";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import type { EndpointPath, Instance, ModelEntry, TransportAddress } from "../types.js";

// The documents of discovery, as Dynamo writes them (`type` says which). Unknown fields are skipped.

/** `<namespace>/<component>/<endpoint>/`: what the keys of an endpoint's instances begin with, after the bucket. */
export function endpointKey({ namespace, component, endpoint }: EndpointPath): string {
	return `${namespace}/${component}/${endpoint}/`;
}

/** The endpoint's key and the instance id in lower-case hex. */
export function instanceKey({ path, id }: Pick<Instance, "path" | "id">): string {
	return endpointKey(path) + id.toString(16);
}

/** The instance's key; behind it the adapter, for a card of one. */
export function modelKey({ card, ...instance }: ModelEntry): string {
	return instanceKey(instance) + (card.lora === undefined ? "" : `/${slugOf(card.lora)}`);
}

export function encodeInstance(instance: Instance): string {
	return stringifyJson({ type: "Endpoint", ...instanceFields(instance) });
}

/** An instance as documents of discovery name it. */
export function instanceFields(instance: Instance): Record<string, unknown> {
	const { path, id, transport, requestCodec, deviceType, multiplexed } = instance;
	return {
		component: path.component,
		endpoint: path.endpoint,
		namespace: path.namespace,
		instance_id: id,
		transport: encodeTransport(transport),
		...(deviceType === null ? {} : { device_type: deviceType }),
		...(requestCodec === null ? {} : { request_plane_codec: requestCodec }),
		...(multiplexed ? { dyn: { multiplexed } } : {}),
	};
}

/** @throws DynError INVALID_ARGUMENT, SyntaxError */
export function decodeInstance(text: string): Instance {
	const record = new PlainData(parseJson(text), "instance");
	const codec = record.string("request_plane_codec");
	return {
		...decodeAddressee(record),
		transport: decodeTransport(record.object("transport")),
		requestCodec: codec === "json" || codec === "msgpack" ? codec : null,
		deviceType: record.string("device_type"),
		multiplexed: record.object("dyn").boolean("multiplexed") ?? false,
	};
}

export function encodeModelEntry({ card, id, path }: ModelEntry): string {
	return stringifyJson({
		type: "Model",
		namespace: path.namespace,
		component: path.component,
		endpoint: path.endpoint,
		instance_id: id,
		...(card.lora === undefined ? {} : { model_suffix: slugOf(card.lora) }),
		card_json: encodeModelCard(card),
	});
}

/** @throws DynError INVALID_ARGUMENT, SyntaxError */
export function decodeModelEntry(text: string): ModelEntry {
	const record = new PlainData(parseJson(text), "model");
	return { ...decodeAddressee(record), card: decodeModelCard(record.raw("card_json")) };
}

function decodeAddressee(record: PlainData): { readonly id: bigint; readonly path: EndpointPath } {
	const name = (field: "namespace" | "component" | "endpoint") =>
		record.required(field, record.string(field));
	return {
		id: record.required("instance_id", record.integer("instance_id")),
		path: { namespace: name("namespace"), component: name("component"), endpoint: name("endpoint") },
	};
}

function encodeTransport(transport: TransportAddress): Record<string, unknown> {
	switch (transport.kind) {
		case "local":
			return { local: true };
		case "tcp":
			return { tcp: transport.address };
		case "nats_tcp":
			return { nats_tcp: transport.subject };
		case "http":
			return { http: transport.url };
	}
}

function decodeTransport(transport: PlainData): TransportAddress {
	if (transport.has("tcp")) return { kind: "tcp", address: transport.string("tcp")! };
	if (transport.has("nats_tcp")) return { kind: "nats_tcp", subject: transport.string("nats_tcp")! };
	if (transport.has("http")) return { kind: "http", url: transport.string("http")! };
	if (transport.has("local")) return { kind: "local" };
	throw new DynError("INVALID_ARGUMENT", "instance.transport is none of tcp, nats_tcp, http");
}
