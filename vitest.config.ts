// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from "vitest/config";

const resolve = { conditions: ["@dyn/source", "module", "node", "development|production"] };
const ssr = {
	resolve: {
		conditions: ["@dyn/source", "module", "node"],
		externalConditions: ["@dyn/source", "module", "node"],
	},
};
const exclude = ["**/node_modules/**", "**/dist/**", "**/build/**"];

/** `unit` needs no process but its own; `integration` starts real processes and the real model. */
export default defineConfig({
	test: {
		projects: [
			{
				resolve,
				ssr,
				test: {
					name: "unit",
					include: ["packages/*/src/**/*.test.ts", "apps/*/src/**/*.test.ts", "scripts/**/*.test.ts"],
					exclude: [...exclude],
					testTimeout: 30_000,
				},
			},
			{
				resolve,
				ssr,
				test: {
					name: "integration",
					include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"],
					exclude: [...exclude],
					testTimeout: 180_000,
					hookTimeout: 180_000,
				},
			},
			{
				resolve,
				ssr,
				test: { name: "docs", include: ["docs/**/*.test.ts"], exclude: [...exclude], testTimeout: 120_000 },
			},
		],
	},
});
