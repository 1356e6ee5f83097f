// SPDX-License-Identifier: Apache-2.0
import { parseJson } from "@dyn/protocols/json";
import type { KubernetesApiDouble } from "./api-server.js";
import { checkMetadata, isMap, type Json, KINDS, type Resource } from "./kinds.js";
import { type Call, refuse } from "./protocol.js";
import { applyFields, conflicts } from "./server-side-apply.js";

/** What etcd takes by default. */
const MAX_OBJECT_BYTES = 1.5 * (1 << 20);
/** Characters that the API server's YAML reader refuses, or reads as line breaks, outside of escapes. */
const UNLIKE_YAML = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/;
const MAX_INT64 = (1n << 63n) - 1n;

/** Server-side apply of one resource. */
export function applyPatch(
	double: KubernetesApiDouble,
	{ plural, namespace, name, query }: Call,
	contentType: string | undefined,
	body: string,
): Resource {
	if (contentType !== "application/apply-patch+yaml")
		refuse(415, `the body of the request was in an unknown format: ${contentType}`);
	const manager = query.get("fieldManager") ?? refuse(400, "fieldManager is required for apply patch");
	if (body.length > MAX_OBJECT_BYTES) refuse(413, "etcdserver: request is too large");
	if (UNLIKE_YAML.test(body)) refuse(400, "error decoding YAML: control characters are not allowed");

	const { apiVersion, kind, check } = KINDS[plural]!;
	const document = asInt64(parseJson(body)) as Resource;
	if (document.apiVersion !== apiVersion || document.kind !== kind)
		refuse(400, `the provided object is ${document.apiVersion} ${document.kind}, not ${apiVersion} ${kind}`);
	if (document.metadata?.name !== name)
		refuse(400, "the name of the object does not match the name on the URL");
	if (document.metadata.managedFields) refuse(400, "metadata.managedFields must be nil");

	const key = `${manager} ${plural}/${namespace}/${name}`;
	const existing = double.objects.get(plural, namespace, document.metadata.name);
	const previous = existing ? (double.applied.get(key) ?? {}) : {};
	if (query.get("force") !== "true") {
		const taken = existing ? conflicts(existing, previous, document) : [];
		if (taken.length > 0) refuse(409, `Apply failed with conflicts: ${taken.join(", ")}`);
	}
	const merged = applyFields(
		existing ?? ({ apiVersion, kind, metadata: { name: name! } } as Resource),
		previous,
		document,
	);
	const wrong = [...checkMetadata(merged), ...check(merged)];
	if (wrong.length > 0) refuse(422, `${kind} "${name}" is invalid: ${wrong.join(", ")}`);
	merged.metadata.managedFields = [{ manager, operation: "Apply", apiVersion }];
	double.applied.set(key, document);
	return double.objects.put(plural, namespace, merged);
}

export function deleteResource(
	double: KubernetesApiDouble,
	{ plural, namespace, name }: Call,
	options: Json,
): Json {
	const existing = double.objects.get(plural, namespace, name!);
	if (!existing) return refuse(404, `${plural} "${name}" not found`);
	const preconditions = isMap(options["preconditions"]) ? options["preconditions"] : {};
	if (preconditions["uid"] !== undefined && preconditions["uid"] !== existing.metadata.uid)
		refuse(409, `Precondition failed: UID in precondition: ${preconditions["uid"]}`);
	double.objects.delete(plural, namespace, name!);
	return { apiVersion: "v1", kind: "Status", status: "Success" };
}

/** Numbers as Go reads them: integers of 64 bits with a sign, everything else as floating point. */
function asInt64(value: unknown): unknown {
	if (typeof value === "bigint") return value <= MAX_INT64 ? value : Number(value);
	if (Array.isArray(value)) return value.map(asInt64);
	if (!isMap(value)) return value;
	return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, asInt64(each)]));
}
