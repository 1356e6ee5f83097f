// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DynError, invalidArgument, type Logger } from "@dyn/common";
import type { ApiClientOptions } from "./api-client.js";

export interface KubernetesStoreOptions extends ApiClientOptions {
	/** Of this pod and of the workers that it sees. */
	readonly namespace: string;
	/** This pod's; the worker's metadata resource is named after it. */
	readonly podName: string;
	/** This pod's: Kubernetes deletes the metadata resource with it. */
	readonly podUid: string;
	/**
	 * What is ready or not, and has metadata of its own: a pod, seen in EndpointSlices, or each container of it, seen in
	 * Pods. Default "pod".
	 */
	readonly mode?: "pod" | "container";
	/** This container's; needed in mode "container". */
	readonly containerName?: string;
	/** The container that goes by the pod's own name. Default "main". */
	readonly mainContainerName?: string;
	readonly logger?: Logger;
}

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * The options of a process in a pod: the API server from `KUBERNETES_SERVICE_HOST` and `_PORT`, which Kubernetes sets, the
 * pod from `POD_NAME`, `POD_UID`, `POD_NAMESPACE` and `CONTAINER_NAME`, which Dynamo's operator sets, and `DYN_KUBE_DISCOVERY_MODE`
 * and `DYN_MAIN_CONTAINER_NAME` as in Dynamo.
 *
 * @param environment `process.env`, of which only these are read
 * @param directory where the service account is mounted: its `token`, `ca.crt` and `namespace`, the default of `POD_NAMESPACE`
 * @throws DynError INVALID_ARGUMENT naming the variable that is missing
 */
export async function fromServiceAccount(
	environment: Readonly<Record<string, string | undefined>>,
	directory: string = SERVICE_ACCOUNT,
): Promise<KubernetesStoreOptions> {
	const needed = (name: string, remedy: string): string => {
		const value = environment[name]?.trim();
		if (!value) throw invalidArgument(name, `${name} is not set: ${remedy}`);
		return value;
	};
	const downward = (field: string) => `let the pod's manifest fill it from fieldRef ${field}`;
	const host = needed("KUBERNETES_SERVICE_HOST", "Kubernetes sets it in pods; elsewhere give apiServer");
	const port = environment["KUBERNETES_SERVICE_PORT"]?.trim() || "443";
	const mode = environment["DYN_KUBE_DISCOVERY_MODE"] || "pod";
	if (mode !== "pod" && mode !== "container")
		throw invalidArgument(
			"DYN_KUBE_DISCOVERY_MODE",
			`DYN_KUBE_DISCOVERY_MODE is "${mode}": use pod or container`,
		);
	const mainContainerName = environment["DYN_MAIN_CONTAINER_NAME"]?.trim();
	return {
		apiServer: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
		podName: needed("POD_NAME", downward("metadata.name")),
		podUid: needed("POD_UID", downward("metadata.uid")),
		namespace: environment["POD_NAMESPACE"]?.trim() || (await mountedNamespace(directory)),
		mode,
		...(mode === "container"
			? { containerName: needed("CONTAINER_NAME", "name the container in the pod's manifest") }
			: {}),
		...(mainContainerName ? { mainContainerName } : {}),
		tokenFile: join(directory, "token"),
		caFile: join(directory, "ca.crt"),
	};
}

/** @throws DynError INVALID_ARGUMENT naming the option */
export function checkOptions(options: KubernetesStoreOptions): void {
	if (!URL.canParse(options.apiServer))
		throw invalidArgument("apiServer", `"${options.apiServer}" is no URL: give https://host:port`);
	for (const name of ["namespace", "podName", "podUid"] as const)
		if (!options[name]) throw invalidArgument(name, `${name} is empty: discovery in Kubernetes needs it`);
	if (options.mode === "container" && !options.containerName)
		throw invalidArgument("containerName", 'mode "container" needs the name of this container');
}

async function mountedNamespace(directory: string): Promise<string> {
	const file = join(directory, "namespace");
	return (
		await readFile(file, "utf8").catch((cause: unknown) => {
			throw new DynError("INVALID_ARGUMENT", `set POD_NAMESPACE, or mount the service account: no ${file}`, {
				cause,
			});
		})
	).trim();
}
