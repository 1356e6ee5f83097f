// SPDX-License-Identifier: Apache-2.0
import { defineConfig, type Options } from "tsup";

/** JavaScript only: declarations come from `tsc -b`, dependencies stay external. */
export function libraryConfig(entry: Record<string, string> = { index: "src/index.ts" }): Options {
	return defineConfig({
		entry,
		format: ["esm"],
		target: "node20",
		platform: "node",
		sourcemap: true,
		dts: false,
		clean: false,
		splitting: true,
		skipNodeModulesBundle: true,
	}) as Options;
}
