// SPDX-License-Identifier: Apache-2.0
import { type JsonObject, nameOf, objectIn, objectsIn, textIn } from "./json-object.js";

/** What marks the Services and Pods of Dynamo workers; their EndpointSlices inherit it. Dynamo's operator sets both. */
export const DISCOVERY_LABELS: string =
	"nvidia.com/dynamo-discovery-backend=kubernetes,nvidia.com/dynamo-discovery-enabled=true";

/** The container with the pod's own identity, unless the pod's annotation names another. */
const MAIN_CONTAINER = "main";
const MAIN_CONTAINER_ANNOTATION = "nvidia.com/dynamo-main-container-name";

/** A worker that takes requests: the name of its metadata resource and the uid of its pod, if it is told. */
export interface ReadyWorker {
	readonly resource: string;
	readonly podUid: string | null;
}

/** Name of a worker's metadata resource: the pod's, with the container's behind it unless that is the main one. */
export function metadataName(pod: string, container: string | null, mainContainer: string | null): string {
	return container === null || container === (mainContainer ?? MAIN_CONTAINER) ? pod : `${pod}-${container}`;
}

/** The ready pods of an EndpointSlice (discovery.k8s.io/v1). */
export function readyInSlice(slice: JsonObject): readonly ReadyWorker[] {
	return objectsIn(slice["endpoints"]).flatMap((endpoint) => {
		const target = objectIn(endpoint["targetRef"]);
		const pod = textIn(target["name"]);
		if (pod === null || objectIn(endpoint["conditions"])["ready"] !== true) return [];
		return [{ resource: metadataName(pod, null, null), podUid: textIn(target["uid"]) }];
	});
}

/** The ready containers of a Pod (v1). A pod that terminates has none, as in EndpointSlices. */
export function readyInPod(pod: JsonObject): readonly ReadyWorker[] {
	const metadata = objectIn(pod["metadata"]);
	if (textIn(metadata["deletionTimestamp"]) !== null) return [];
	const main = textIn(objectIn(metadata["annotations"])[MAIN_CONTAINER_ANNOTATION]);
	return objectsIn(objectIn(pod["status"])["containerStatuses"])
		.filter((status) => status["ready"] === true)
		.map((status) => ({
			resource: metadataName(nameOf(pod), textIn(status["name"]), main?.trim() ?? null),
			podUid: textIn(metadata["uid"]),
		}));
}
