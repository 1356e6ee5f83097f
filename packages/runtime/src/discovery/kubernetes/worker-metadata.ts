// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { EVENT_CHANNELS_PREFIX, INSTANCES_PREFIX, MODELS_PREFIX } from "../key-value-store.js";
import { isObject, type JsonObject, objectIn, objectsIn, textIn } from "./json-object.js";

// DynamoWorkerMetadata, Dynamo's custom resource (nvidia.com/v1alpha1): one per worker, and in `spec.data` all that the
// worker publishes, a map per kind of record, keyed as elsewhere but without the bucket.

/** Which map of `spec.data` holds the records of a bucket. */
const SECTIONS = [
	[INSTANCES_PREFIX, "endpoints"],
	[MODELS_PREFIX, "model_cards"],
	[EVENT_CHANNELS_PREFIX, "event_channels"],
] as const;

/** Whether the resource has a place for the key. */
export function hasSection(key: string): boolean {
	return SECTIONS.some(([prefix]) => key.startsWith(prefix));
}

/** Whose resource it is. Kubernetes deletes it with the pod. */
export interface MetadataOwner {
	/** Name of the resource. */
	readonly name: string;
	readonly podName: string;
	readonly podUid: string;
}

/** The document to apply. `entries` are store keys and JSON texts. */
export function encodeWorkerMetadata(
	{ name, podName, podUid }: MetadataOwner,
	entries: Iterable<readonly [key: string, value: string]>,
): string {
	const data: Record<string, Record<string, unknown>> = {
		endpoints: {},
		model_cards: {},
		event_channels: {},
	};
	for (const [key, value] of entries)
		for (const [prefix, section] of SECTIONS)
			if (key.startsWith(prefix)) data[section]![key.slice(prefix.length)] = parseJson(value);
	const document = stringifyJson({
		apiVersion: "nvidia.com/v1alpha1",
		kind: "DynamoWorkerMetadata",
		metadata: {
			name,
			ownerReferences: [
				{
					apiVersion: "v1",
					kind: "Pod",
					name: podName,
					uid: podUid,
					// Containers of one pod share the owner, and a resource has one controller at most.
					controller: name === podName,
					blockOwnerDeletion: false,
				},
			],
		},
		spec: { data },
	});
	return document.replace(UNLIKE_YAML, (character) => {
		return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
	});
}

/** An apply patch is read as YAML, which refuses or folds these characters where JSON takes them. */
const UNLIKE_YAML = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** Uid of the pod that owns a resource; null when it says none. */
export function ownerPodUid(resource: JsonObject): string | null {
	const owners = objectsIn(objectIn(resource["metadata"])["ownerReferences"]);
	return textIn(owners.find((owner) => owner["kind"] === "Pod")?.["uid"]);
}

/**
 * Store keys and JSON texts of a resource. A map that is absent or null is empty; a record that is null is none, and a
 * map of another name is skipped.
 * @throws DynError INVALID_ARGUMENT when there is no `spec.data`, or a map or record in it is none
 */
export function decodeWorkerMetadata(resource: JsonObject): ReadonlyMap<string, string> {
	const data = objectIn(resource["spec"])["data"];
	if (!isObject(data)) throw new DynError("INVALID_ARGUMENT", "spec.data is no object");
	const entries = new Map<string, string>();
	for (const [prefix, section] of SECTIONS) {
		const records = data[section] ?? {};
		if (!isObject(records)) throw new DynError("INVALID_ARGUMENT", `spec.data.${section} is no object`);
		for (const [key, record] of Object.entries(records)) {
			if (record === null) continue;
			if (!isObject(record))
				throw new DynError("INVALID_ARGUMENT", `spec.data.${section}["${key}"] is no object`);
			entries.set(prefix + key, stringifyJson(record));
		}
	}
	return entries;
}
