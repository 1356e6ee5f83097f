// SPDX-License-Identifier: Apache-2.0
import { isIP } from "node:net";

export type Json = Record<string, unknown>;

export interface Resource extends Json {
	apiVersion: string;
	kind: string;
	metadata: {
		name: string;
		namespace?: string;
		uid?: string;
		resourceVersion?: string;
		generation?: number;
		labels?: Record<string, string>;
		annotations?: Record<string, string> | null;
		deletionTimestamp?: string;
		ownerReferences?: Json[] | null;
		managedFields?: Json[];
	};
}

/** The resources that the double serves, as the API server does: path, type, and the part of the schema that is used. */
export const KINDS: Record<
	string,
	{ api: string; apiVersion: string; kind: string; check(resource: Json): string[] }
> = {
	dynamoworkermetadatas: {
		api: "/apis/nvidia.com/v1alpha1",
		apiVersion: "nvidia.com/v1alpha1",
		kind: "DynamoWorkerMetadata",
		// Dynamo's definition keeps `spec.data` without a schema, null included.
		check: ({ spec }) => (isMap(spec) && "data" in spec ? [] : ["spec.data: Required value"]),
	},
	endpointslices: {
		api: "/apis/discovery.k8s.io/v1",
		apiVersion: "discovery.k8s.io/v1",
		kind: "EndpointSlice",
		check: ({ addressType, endpoints }) => [
			...(addressType === "IPv4" ? [] : ["addressType: Required value"]),
			...(endpoints === null ? [] : list(endpoints).flatMap(checkEndpoint)),
		],
	},
	pods: {
		api: "/api/v1",
		apiVersion: "v1",
		kind: "Pod",
		check: ({ spec }) =>
			isMap(spec) && list(spec["containers"]).length > 0 ? [] : ["spec.containers: Required value"],
	},
};

/** What an object of the kind must be beyond its schema. */
export function checkMetadata({ metadata }: Resource): string[] {
	const owners = metadata.ownerReferences ?? [];
	return [
		...(/^[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?$/.test(metadata.name)
			? []
			: ["metadata.name: must be a DNS name"]),
		...owners.flatMap((owner) =>
			["apiVersion", "kind", "name", "uid"]
				.filter((field) => typeof owner[field] !== "string" || owner[field] === "")
				.map((field) => `metadata.ownerReferences.${field}: Required value`),
		),
		...(owners.filter((owner) => owner["controller"] === true).length > 1
			? ["metadata.ownerReferences: Only one reference can have Controller set to true"]
			: []),
	];
}

export function isMap(value: unknown): value is Json {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

function list(value: unknown): Json[] {
	return Array.isArray(value) ? value : [];
}

function checkEndpoint(endpoint: Json): string[] {
	const addresses = list(endpoint["addresses"]) as unknown[];
	if (addresses.length === 0 || !addresses.every((address) => isIP(String(address)) === 4))
		return ["endpoints.addresses: must be IPv4 addresses"];
	return [];
}
