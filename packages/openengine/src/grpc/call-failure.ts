// SPDX-License-Identifier: Apache-2.0
import type { GrpcStatus } from "./status.js";

/** A call that we give up ourselves, with the status that it has then. */
export class CallFailure extends Error {
	override readonly name = "CallFailure";
	readonly status: GrpcStatus;

	constructor(status: GrpcStatus, message: string) {
		super(message);
		this.status = status;
	}
}
