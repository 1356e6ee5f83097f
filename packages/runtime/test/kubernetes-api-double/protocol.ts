// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from "node:http";
import { stringifyJson } from "@dyn/protocols/json";
import type { Json } from "./kinds.js";

export interface Call {
	readonly method: string;
	readonly plural: string;
	readonly namespace: string;
	/** Null for the collection. */
	readonly name: string | null;
	readonly query: URLSearchParams;
}

/** Ends a request with a Status document. */
export class Refusal extends Error {
	readonly status: number;

	constructor(status: number, message: string) {
		super(message);
		this.status = status;
	}

	document(): Json {
		return { apiVersion: "v1", kind: "Status", status: "Failure", message: this.message, code: this.status };
	}
}

export function refuse(status: number, message: string): never {
	throw new Refusal(status, message);
}

export function answer(response: ServerResponse, status: number, document: Json): void {
	response.writeHead(status, { "content-type": "application/json" }).end(stringifyJson(document));
}
