// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { importsOf, root, sourceFiles, workspacePackages } from "./workspace.js";

/** The floors of the house, lowest first; a package may use its own floor and those below. */
const FLOORS = ["base", "core", "engine", "assembly", "app"];

/** What the published house consists of. A change here is a change of the public surface. */
const HOUSE: Record<string, { floor: string; exports: string[]; bin?: string[] }> = {
	"@dyn/common": { floor: "base", exports: ["."] },
	"@dyn/tokens": { floor: "base", exports: ["."] },
	"@dyn/protocols": {
		floor: "base",
		exports: [".", "./openai", "./dynamo", "./json", "./msgpack", "./schemas", "./smg"],
	},
	"@dyn/models": { floor: "base", exports: [".", "./store", "./testing"] },
	"@dyn/engine": { floor: "core", exports: [".", "./conformance"] },
	"@dyn/runtime": {
		floor: "core",
		exports: [
			".",
			"./prometheus",
			"./nats",
			"./file",
			"./tcp",
			"./http",
			"./etcd",
			"./kubernetes",
			"./zmq",
			"./telemetry",
		],
	},
	"@dyn/logits": { floor: "core", exports: [".", "./grammar", "./grammar-worker"] },
	"@dyn/text": { floor: "core", exports: ["."] },
	"@dyn/kvbm": { floor: "core", exports: [".", "./transfer"] },
	"@dyn/trtllm-native": { floor: "engine", exports: [".", "./core"], bin: ["dyn-trtllm-native-build"] },
	"@dyn/trtllm-native-linux-x64": { floor: "engine", exports: [] },
	"@dyn/openengine": { floor: "engine", exports: [".", "./grpc", "./conformance"] },
	"@dyn/mocker": {
		floor: "engine",
		exports: [".", "./openengine", "./kv-events", "./smg", "./http"],
		bin: ["trtllm-serve-double"],
	},
	"@dyn/trtllm": { floor: "assembly", exports: [".", "./serve", "./smg", "./http"] },
	"@dyn/frontend": { floor: "assembly", exports: ["."] },
	"@dyn/console": { floor: "app", exports: ["."] },
	"@dyn/bench": { floor: "app", exports: [] },
	"dyn-worker": { floor: "app", exports: ["."], bin: ["dyn-worker"] },
};

const packages = workspacePackages();
const byName = new Map(packages.map((entry) => [entry.name, entry]));

describe("topology", () => {
	it("has the packages, floors, entries and bins that are written down here", () => {
		const actual = Object.fromEntries(
			packages.map(({ name, floor, manifest }) => [
				name,
				{
					floor,
					exports: Object.keys(manifest.exports ?? {}).filter((key) => key !== "./package.json"),
					...(manifest.bin ? { bin: Object.keys(manifest.bin) } : {}),
				},
			]),
		);
		expect(actual).toEqual(HOUSE);
	});

	it("has no upward dependency", () => {
		const upward = packages.flatMap((entry) =>
			entry.uses
				.filter((name) => FLOORS.indexOf(byName.get(name)!.floor) > FLOORS.indexOf(entry.floor))
				.map((name) => `${entry.name} -> ${name}`),
		);
		expect(upward).toEqual([]);
	});

	it("has no circle between packages", () => {
		expect(
			findCircle(
				packages.map(({ name }) => name),
				(name) => byName.get(name)!.uses,
			),
		).toBeNull();
	});

	it("has no circle between the files of a package", () => {
		for (const { directory } of packages) {
			const files = sourceFiles(directory, /\.ts$/).filter((path) => !path.endsWith(".test.ts"));
			const known = new Set(files);
			const next = (path: string) =>
				importsOf(path)
					.filter(({ specifier, typeOnly }) => specifier.startsWith(".") && !typeOnly)
					.map(({ specifier }) => normalize(join(dirname(path), specifier)).replace(/\.js$/, ".ts"))
					.filter((target) => known.has(target));
			expect(findCircle(files, next)).toBeNull();
		}
	});

	it("declares every workspace package that its sources import, and imports every one it declares", () => {
		const wrong = packages.flatMap(({ name, directory, uses, manifest }) => {
			const files = sourceFiles(`${directory}`, /\.ts$/).filter(
				(path) => path.includes("/src/") && !path.includes(".test."),
			);
			const imported = new Set(
				files
					.flatMap((path) => importsOf(path))
					.map(({ specifier }) => /^(@dyn\/[^/]+)/.exec(specifier)?.[1])
					.filter((specifier) => specifier !== undefined && specifier !== name),
			);
			if (manifest.private) return [];
			return [
				...[...imported]
					.filter((used) => !uses.includes(used!))
					.map((used) => `${name} imports ${used} without declaring it`),
				...uses
					.filter((used) => !imported.has(used))
					.map((used) => `${name} declares ${used} without importing it`),
			];
		});
		expect(wrong).toEqual([]);
	});
});

describe("conventions", () => {
	it("reads environment and arguments, handles signals and exits on the app floor and in programs only", () => {
		const wrong = packages
			.filter(({ floor }) => floor !== "app")
			.flatMap(({ directory }) => sourceFiles(`${directory}/src`, /\.ts$/))
			.filter((path) => !path.endsWith(".test.ts") && !path.includes("/src/bin/"))
			.filter((path) =>
				/process\.(env|argv|exit|on|once)\b/.test(stripComments(readFileSync(join(root, path), "utf8"))),
			);
		expect(wrong).toEqual([]);
	});

	it("starts every source file with the licence line", () => {
		const files = ["packages", "apps", "native", "examples", "scripts"].flatMap((folder) =>
			sourceFiles(folder, /\.(ts|mjs|js|cpp|h|css)$/),
		);
		const wrong = files.filter(
			(path) =>
				!readFileSync(join(root, path), "utf8").slice(0, 200).includes("SPDX-License-Identifier: Apache-2.0"),
		);
		expect(wrong).toEqual([]);
	});

	it("gives every published package a README and a description", () => {
		const wrong = packages
			.filter(({ manifest }) => !manifest.private)
			.filter(({ directory }) => {
				try {
					return readFileSync(join(root, directory, "README.md"), "utf8").length < 200;
				} catch {
					return true;
				}
			});
		expect(wrong.map(({ name }) => name)).toEqual([]);
	});
});

function stripComments(text: string): string {
	return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");
}

/** A path that comes back to where it began, or null. */
function findCircle(nodes: readonly string[], next: (node: string) => readonly string[]): string[] | null {
	const done = new Set<string>();
	const path: string[] = [];
	const visit = (node: string): string[] | null => {
		if (path.includes(node)) return [...path.slice(path.indexOf(node)), node];
		if (done.has(node)) return null;
		path.push(node);
		for (const target of next(node)) {
			const circle = visit(target);
			if (circle) return circle;
		}
		path.pop();
		done.add(node);
		return null;
	};
	for (const node of nodes) {
		const circle = visit(node);
		if (circle) return circle;
	}
	return null;
}
