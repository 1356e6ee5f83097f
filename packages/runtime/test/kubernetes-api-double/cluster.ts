// SPDX-License-Identifier: Apache-2.0
import type { KubernetesApiDouble } from "./api-server.js";
import type { Json, Resource } from "./kinds.js";

export const NAMESPACE = "serving";

/** The labels by which Dynamo's frontends find workers. */
export const DISCOVERY_LABELS: Record<string, string> = {
	"nvidia.com/dynamo-discovery-backend": "kubernetes",
	"nvidia.com/dynamo-discovery-enabled": "true",
};

export interface PodOptions {
	/** Default: one, "main". */
	readonly containers?: readonly string[];
	/** Names the container that goes by the pod's name. */
	readonly mainContainer?: string;
}

/**
 * What runs around the API server: kubelets that report readiness, the controller that writes EndpointSlices, and the
 * garbage collector.
 */
export class Cluster {
	readonly #api: KubernetesApiDouble;

	constructor(api: KubernetesApiDouble) {
		this.#api = api;
		this.#writeSlice();
		// A resource whose owners are all gone is deleted, also one that is written after its owner went.
		api.objects.follow(api.objects.version, () => queueMicrotask(() => this.#collectGarbage()));
	}

	/** Starts a pod, not ready; gives its uid. */
	startPod(name: string, { containers = ["main"], mainContainer }: PodOptions = {}): string {
		const pod = this.#api.objects.put("pods", NAMESPACE, {
			apiVersion: "v1",
			kind: "Pod",
			metadata: {
				name,
				labels: DISCOVERY_LABELS,
				annotations: mainContainer ? { "nvidia.com/dynamo-main-container-name": mainContainer } : null,
			},
			spec: { containers: containers.map((container) => ({ name: container })) },
			status: { containerStatuses: containers.map((container) => ({ name: container, ready: false })) },
		});
		this.#writeSlice();
		return pod.metadata.uid!;
	}

	/** @param container one of the pod's; default: all of them */
	setReady(name: string, ready: boolean, container?: string): void {
		const pod = structuredClone(this.#api.objects.get("pods", NAMESPACE, name)!);
		for (const status of statusesOf(pod))
			if (container === undefined || status["name"] === container) status["ready"] = ready;
		this.#api.objects.put("pods", NAMESPACE, pod);
		this.#writeSlice();
	}

	/** As long as the pod's processes take to end, it is there and terminates. */
	terminatePod(name: string): void {
		const pod = structuredClone(this.#api.objects.get("pods", NAMESPACE, name)!);
		pod.metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
		this.#api.objects.put("pods", NAMESPACE, pod);
		this.#writeSlice();
	}

	deletePod(name: string): void {
		this.#api.objects.delete("pods", NAMESPACE, name);
		this.#writeSlice();
	}

	metadataOf(name: string): Resource | null {
		return this.#api.objects.get("dynamoworkermetadatas", NAMESPACE, name);
	}

	/** Somebody else changes a metadata resource. */
	editMetadata(name: string, edit: (resource: Resource) => void): void {
		const resource = structuredClone(this.metadataOf(name)!);
		edit(resource);
		this.#api.objects.put("dynamoworkermetadatas", NAMESPACE, resource);
	}

	#writeSlice(): void {
		const pods = this.#api.objects.list("pods", NAMESPACE);
		this.#api.objects.put("endpointslices", NAMESPACE, {
			apiVersion: "discovery.k8s.io/v1",
			kind: "EndpointSlice",
			metadata: { name: "workers-x7k2p", labels: DISCOVERY_LABELS },
			addressType: "IPv4",
			endpoints:
				pods.length === 0
					? null
					: pods.map((pod) => ({
							addresses: ["10.0.0.1"],
							conditions: {
								ready:
									pod.metadata.deletionTimestamp === undefined && statusesOf(pod).every(({ ready }) => ready),
							},
							targetRef: {
								kind: "Pod",
								namespace: NAMESPACE,
								name: pod.metadata.name,
								uid: pod.metadata.uid,
							},
						})),
		});
	}

	#collectGarbage(): void {
		const alive = new Set(this.#api.objects.list("pods", NAMESPACE).map(({ metadata }) => metadata.uid));
		for (const { metadata } of this.#api.objects.list("dynamoworkermetadatas", NAMESPACE)) {
			const owners = metadata.ownerReferences ?? [];
			if (owners.length > 0 && owners.every(({ uid }) => !alive.has(uid as string)))
				this.#api.objects.delete("dynamoworkermetadatas", NAMESPACE, metadata.name);
		}
	}
}

function statusesOf(pod: Resource): Json[] {
	return (pod["status"] as { containerStatuses: Json[] }).containerStatuses;
}
