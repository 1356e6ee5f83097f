// SPDX-License-Identifier: Apache-2.0
import { open } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";

/**
 * Answers with a file, without its content when a HEAD asks.
 * @throws when the file cannot be read; nothing is sent if it could not even be opened
 */
export async function sendFile(response: ServerResponse, file: string): Promise<void> {
	const handle = await open(file);
	try {
		const { size } = await handle.stat();
		response.writeHead(200, { "content-type": "application/octet-stream", "content-length": size });
		if (response.req.method === "HEAD") response.end();
		else await pipeline(handle.createReadStream({ autoClose: false }), response);
	} finally {
		await handle.close();
	}
}
