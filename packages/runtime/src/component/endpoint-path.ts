// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EndpointPath } from "../types.js";

const NAME = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * `dyn://namespace.component.endpoint`, with or without the scheme.
 * @throws DynError INVALID_ARGUMENT
 */
export function parseEndpointPath(text: string): EndpointPath {
	const parts = text.replace(/^dyn:\/\//, "").split(".");
	const [namespace, component, endpoint] = parts;
	if (parts.length !== 3)
		throw new DynError(
			"INVALID_ARGUMENT",
			`endpoint ${JSON.stringify(text)} is not of the form dyn://namespace.component.endpoint`,
		);
	return checkEndpointPath({ namespace: namespace!, component: component!, endpoint: endpoint! });
}

/** @throws DynError INVALID_ARGUMENT naming the part that is not a name (letters, digits, - and _) */
export function checkEndpointPath(path: EndpointPath): EndpointPath {
	for (const part of ["namespace", "component", "endpoint"] as const) {
		if (!NAME.test(path[part]))
			throw new DynError(
				"INVALID_ARGUMENT",
				`${part} ${JSON.stringify(path[part])} may hold letters, digits, "-" and "_" only`,
				{ details: { param: part } },
			);
	}
	return path;
}

export function formatEndpointPath({ namespace, component, endpoint }: EndpointPath): string {
	return `dyn://${namespace}.${component}.${endpoint}`;
}
