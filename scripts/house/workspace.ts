// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface WorkspacePackage {
	readonly name: string;
	/** Path from the repository root, for example `packages/common`. */
	readonly directory: string;
	/** The floor: the one tag of turbo.json. */
	readonly floor: string;
	readonly manifest: {
		readonly private?: boolean;
		readonly exports?: Readonly<Record<string, unknown>>;
		readonly bin?: Readonly<Record<string, string>>;
		readonly dependencies?: Readonly<Record<string, string>>;
		readonly scripts?: Readonly<Record<string, string>>;
	};
	/** Names of the workspace packages it depends on at run time. */
	readonly uses: readonly string[];
}

const readJson = (path: string) => JSON.parse(readFileSync(path, "utf8"));

/** Every package under packages/ and apps/. */
export function workspacePackages(): WorkspacePackage[] {
	return ["packages", "apps"].flatMap((folder) =>
		readdirSync(join(root, folder))
			.filter((name) => existsSync(join(root, folder, name, "package.json")))
			.map((name) => {
				const directory = `${folder}/${name}`;
				const manifest = readJson(join(root, directory, "package.json"));
				const tags: string[] = readJson(join(root, directory, "turbo.json")).tags ?? [];
				const uses = Object.entries(manifest.dependencies ?? {})
					.filter(([, version]) => String(version).startsWith("workspace:"))
					.map(([dependency]) => dependency);
				return { name: manifest.name, directory, floor: tags[0] ?? "", manifest, uses };
			}),
	);
}

/** Every tracked-looking source file below `directory`, as paths from the repository root. */
export function sourceFiles(directory: string, pattern: RegExp): string[] {
	const skip = new Set([
		"node_modules",
		"dist",
		"build",
		"__fixtures__",
		"fixtures",
		".turbo",
		".cache",
		"temp",
	]);
	if (!existsSync(join(root, directory))) return [];
	return readdirSync(join(root, directory), { withFileTypes: true }).flatMap((entry) => {
		const path = `${directory}/${entry.name}`;
		if (entry.isDirectory()) return skip.has(entry.name) ? [] : sourceFiles(path, pattern);
		return pattern.test(entry.name) ? [path] : [];
	});
}

/** Module specifiers that a TypeScript file imports, statically or by `import()`; type-only imports are marked. */
export function importsOf(
	path: string,
): { readonly specifier: string; readonly typeOnly: boolean; readonly dynamic: boolean }[] {
	const text = readFileSync(join(root, path), "utf8").replace(/\/\*[\s\S]*?\*\//g, "");
	const found: { specifier: string; typeOnly: boolean; dynamic: boolean }[] = [];
	for (const match of text.matchAll(
		/^\s*(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']/gm,
	)) {
		found.push({ specifier: match[2]!, typeOnly: match[1] !== undefined, dynamic: false });
	}
	for (const match of text.matchAll(/\bimport\(\s*["']([^"']+)["']\s*\)/g)) {
		found.push({ specifier: match[1]!, typeOnly: false, dynamic: true });
	}
	return found;
}
