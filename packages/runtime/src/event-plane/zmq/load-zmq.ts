// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

export type Zmq = typeof import("zeromq");

/** @throws DynError UNIMPLEMENTED when the package is not installed */
export async function loadZmq(): Promise<Zmq> {
	try {
		return await import("zeromq");
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
		throw new DynError("UNIMPLEMENTED", "events over ZeroMQ need the package zeromq: npm install zeromq", {
			cause,
		});
	}
}
