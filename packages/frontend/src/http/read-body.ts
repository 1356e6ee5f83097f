// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import { DynError } from "@dyn/common";

/**
 * The whole request body as text; invalid UTF-8 becomes U+FFFD.
 * @throws DynError UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE (the rest is not read), CANCELLED when the client goes away
 */
export function readBody(request: IncomingMessage, limitBytes: number): Promise<string> {
	const type = request.headers["content-type"] ?? "";
	if (!/^application\/(\w+\+)?json\b/i.test(type)) {
		request.resume();
		throw new DynError("UNSUPPORTED_MEDIA_TYPE", "Expected request with `Content-Type: application/json`");
	}
	const encoding = request.headers["content-encoding"] ?? "identity";
	if (encoding.toLowerCase() !== "identity")
		throw new DynError("UNSUPPORTED_MEDIA_TYPE", "Content-Encoding is not supported; send the body as it is");
	const tooLarge = () =>
		new DynError(
			"PAYLOAD_TOO_LARGE",
			`Request body exceeds the limit of ${Math.round(limitBytes / 2 ** 20)} MB set by DYN_HTTP_BODY_LIMIT_MB`,
		);
	if (Number(request.headers["content-length"] ?? 0) > limitBytes) throw tooLarge();
	return new Promise((resolve, reject) => {
		const chunks: Buffer[] = [];
		let bytes = 0;
		request.on("data", (chunk: Buffer) => {
			bytes += chunk.length;
			if (bytes > limitBytes) {
				request.pause();
				request.removeAllListeners("data");
				reject(tooLarge());
			} else chunks.push(chunk);
		});
		request.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
		request.on("error", (error) =>
			reject(new DynError("CANCELLED", "the client went away while sending its request", { cause: error })),
		);
		request.on("close", () =>
			reject(new DynError("CANCELLED", "the client went away while sending its request")),
		);
	});
}
