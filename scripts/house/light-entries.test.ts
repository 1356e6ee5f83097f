// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root, workspacePackages } from "./workspace.js";

/** Third-party code that an entry may load at once: small and without native parts. */
const LIGHT = new Set(["hash-wasm", "lossless-json"]);

/** Entries that exist to load something heavier. */
const HEAVY_BY_DESIGN = new Set(["@dyn/runtime/prometheus"]);

/** Loads a built entry in a fresh process and reports which packages came with it. */
function loadedPackages(file: string): string[] {
	const program = `
		import { register } from "node:module";
		const seen = [];
		const { port1, port2 } = new MessageChannel();
		port1.on("message", (url) => seen.push(url));
		register("data:text/javascript," + encodeURIComponent(\`
			let port;
			export async function initialize(data) { port = data.port; }
			export async function load(url, context, next) { port.postMessage(url); return next(url, context); }
		\`), { data: { port: port2 }, transferList: [port2] });
		await import(${JSON.stringify(file)});
		await new Promise((resolve) => setImmediate(resolve));
		port1.close();
		const { createRequire } = await import("node:module");
		const commonJs = Object.keys(createRequire(import.meta.url).cache ?? {});
		console.log(JSON.stringify([...seen, ...commonJs]));
		process.exit(0);
	`;
	const output = execFileSync(process.execPath, ["--input-type=module", "-e", program], {
		encoding: "utf8",
		cwd: root,
	});
	const urls: string[] = JSON.parse(output.trim().split("\n").at(-1)!);
	const names = urls
		.filter((url) => url.includes("node_modules"))
		.map((url) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)![1]!)
		.filter((name) => !name.startsWith("@dyn/"));
	return [...new Set(names)].filter((name) => !LIGHT.has(name)).sort();
}

describe("entries load nothing heavy", () => {
	for (const { name, directory, manifest } of workspacePackages()) {
		for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
			if (subpath === "./package.json" || typeof target !== "object" || target === null) continue;
			const entry = name + subpath.slice(1);
			if (HEAVY_BY_DESIGN.has(entry)) continue;
			it(entry, () => {
				const file = join(root, directory, (target as { default: string }).default);
				expect(existsSync(file), `${file} is missing: run npm run build`).toBe(true);
				expect(loadedPackages(file)).toEqual([]);
			});
		}
	}

	it("notices a heavy module", () => {
		expect(loadedPackages(join(root, "packages/runtime/dist/prometheus.js"))).toContain("prom-client");
	});
});
