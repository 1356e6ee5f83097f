// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
	".html": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8",
	".js": "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
};

/** Only what is in the folder itself and the page's own origin. */
const POLICY = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/** Answers a GET for a file of `directory` ("/" is index.html); false when there is none. Names are plain: no folders, no dots first. */
export async function serveStaticFile(
	directory: string,
	path: string,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<boolean> {
	const name = path === "/" ? "index.html" : path.slice(1);
	const type = TYPES[extname(name)];
	if (!type || !/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/.test(name)) return false;
	const content = await readFile(join(directory, name)).catch(() => null);
	if (!content) return false;
	const etag = `"${createHash("sha256").update(content).digest("base64url").slice(0, 22)}"`;
	const headers = {
		etag,
		"cache-control": "no-cache",
		"content-security-policy": POLICY,
		"x-content-type-options": "nosniff",
	};
	if (request.headers["if-none-match"] === etag) response.writeHead(304, headers).end();
	else
		response
			.writeHead(200, { ...headers, "content-type": type, "content-length": content.length })
			.end(request.method === "HEAD" ? undefined : content);
	return true;
}
