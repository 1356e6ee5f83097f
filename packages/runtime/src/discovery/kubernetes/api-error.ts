// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** HTTP status of an answer that was not the one wanted, or not understood; null when the connection failed. */
export function statusOf(error: unknown): number | null {
	const status = DynError.is(error) ? error.details["status"] : undefined;
	return typeof status === "number" ? status : null;
}

/** What to do about a status. */
const REMEDIES: Readonly<Record<number, string>> = {
	401: "the service account's token is not accepted; check that it is mounted and belongs to this cluster",
	403: "let the service account's Role get, list, watch, create, patch and delete dynamoworkermetadatas (nvidia.com), and get, list and watch endpointslices (discovery.k8s.io) and pods",
	404: "install Dynamo's custom resource definitions (dynamoworkermetadatas.nvidia.com)",
	410: "it has forgotten the version to watch from; the list is read anew",
};

/** @param answer the body, or the message in it */
export function apiError(method: string, what: string, status: number, answer: unknown): DynError {
	const reason = typeof answer === "string" ? messageIn(answer) : "";
	const text = [
		`the Kubernetes API server answered ${status} to ${method} ${what}`,
		reason,
		REMEDIES[status],
	];
	return new DynError("UNAVAILABLE", text.filter(Boolean).join(": "), { details: { status } });
}

/** The connection could not be made, or broke. */
export function unreachable(apiServer: string, cause: unknown): DynError {
	if (DynError.is(cause)) return cause;
	// An AggregateError (no address of a name answers) has a code and no message.
	const reason = cause instanceof Error ? cause.message || String((cause as { code?: unknown }).code) : cause;
	return new DynError(
		"UNAVAILABLE",
		`the Kubernetes API server at ${apiServer} cannot be reached: ${reason}; check its address and the network policy`,
		{ cause },
	);
}

/** What went wrong while an answer was read: the connection, whose errors have codes, or the answer itself. */
export function unreadable(apiServer: string, cause: unknown): DynError {
	if (DynError.is(cause) || !(cause instanceof Error) || "code" in cause)
		return unreachable(apiServer, cause);
	return new DynError(
		"UNAVAILABLE",
		`what the server at ${apiServer} answers is not understood: ${cause.message}; check that it is a Kubernetes API server`,
		{ cause, details: { status: 200 } },
	);
}

/** The message of a Status document (Kubernetes' form of errors), or the text itself. */
function messageIn(answer: string): string {
	try {
		const status: unknown = JSON.parse(answer);
		if (typeof status === "object" && status !== null && "message" in status) return String(status.message);
	} catch {
		// Proxies and unknown paths answer with plain text.
	}
	return answer.trim().slice(0, 200);
}
