// SPDX-License-Identifier: Apache-2.0
// How every package is built; run from the package's folder. JavaScript only: declarations come from `tsc -b`,
// dependencies stay external.
import { readFileSync } from "node:fs";
import { defineConfig } from "tsup";

/** What the manifest exports as source, and what its bins are built from. */
function entriesOf(manifest: {
	exports?: Record<string, { "@dyn/source"?: string } | string>;
	bin?: Record<string, string>;
}): Record<string, string> {
	const exported = Object.values(manifest.exports ?? {}).map((target) =>
		typeof target === "string" ? undefined : target["@dyn/source"],
	);
	const bins = Object.values(manifest.bin ?? {}).map((file) =>
		file.startsWith("dist/") ? file.replace(/^dist\/(.*)\.js$/, "./src/$1.ts") : undefined,
	);
	const sources = [...exported, ...bins].filter((source) => source !== undefined);
	return Object.fromEntries(sources.map((source) => [source.replace(/^\.\/src\/(.*)\.ts$/, "$1"), source]));
}

export default defineConfig((options) => ({
	entry: options.entry ?? entriesOf(JSON.parse(readFileSync("package.json", "utf8"))),
	format: ["esm"],
	target: "node20",
	platform: "node",
	sourcemap: true,
	dts: false,
	clean: false,
	splitting: true,
	skipNodeModulesBundle: true,
}));
