// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";

/** Time for a client to notice that it is not listened to any more, ms. */
export const LINGER_MS = 2000;

/**
 * Answers while the client is still sending. Closing at once would reset the connection and the answer might be lost
 * with it, so what comes is thrown away for a moment.
 */
export function linger(request: IncomingMessage, response: ServerResponse, body: string): void {
	const end = () => {
		clearTimeout(timer);
		response.end();
	};
	const timer = setTimeout(end, LINGER_MS);
	response.write(body);
	request.removeAllListeners("data");
	request.once("end", end);
	request.once("close", end);
	request.resume();
}
