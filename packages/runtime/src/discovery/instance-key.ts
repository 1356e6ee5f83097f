// SPDX-License-Identifier: Apache-2.0
import type { EndpointPath, Instance } from "../types.js";

/** `<namespace>/<component>/<endpoint>/`: what the keys of an endpoint's instances begin with, after the bucket. */
export function endpointKey({ namespace, component, endpoint }: EndpointPath): string {
	return `${namespace}/${component}/${endpoint}/`;
}

/** The endpoint's key and the instance id in lower-case hex, as Dynamo writes it. */
export function instanceKey({ path, id }: Instance): string {
	return endpointKey(path) + id.toString(16);
}
