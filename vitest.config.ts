// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vitest/config";

/** As Node resolves, with our sources first: "module" would give Node files that only bundlers understand. */
const conditions = ["@dyn/source", "node"];
const shared = {
	resolve: { conditions: [...conditions, "development|production"] },
	ssr: { resolve: { conditions, externalConditions: conditions } },
};
const exclude = ["**/node_modules/**", "**/dist/**", "**/build/**"];

/**
 * `unit` needs no process but its own; `integration` starts real processes and the real model; `docs` runs the code blocks
 * of the documentation. `system` needs more than Node, Python and a compiler (Chromium), or minutes: .ci/run runs it.
 */
export default defineConfig({
	test: {
		projects: [
			{
				...shared,
				test: {
					name: "unit",
					include: ["packages/*/src/**/*.test.ts", "apps/*/src/**/*.test.ts", "scripts/**/*.test.ts"],
					exclude,
					testTimeout: 30_000,
				},
			},
			{
				...shared,
				test: {
					name: "integration",
					include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"],
					exclude: [...exclude, "**/test/system/**"],
					// Real processes with all cores each: side by side they would only wait for each other.
					fileParallelism: false,
					testTimeout: 180_000,
					hookTimeout: 180_000,
				},
			},
			{
				...shared,
				test: {
					name: "system",
					include: ["packages/*/test/system/**/*.test.ts", "apps/*/test/system/**/*.test.ts"],
					exclude,
					fileParallelism: false,
					testTimeout: 900_000,
					hookTimeout: 300_000,
				},
			},
			{
				...shared,
				test: {
					name: "docs",
					include: ["docs/**/*.test.ts"],
					exclude,
					fileParallelism: false,
					testTimeout: 120_000,
				},
			},
		],
	},
});
