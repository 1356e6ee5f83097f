// SPDX-License-Identifier: Apache-2.0
// Runs every code block of the README and the guides, in reading order per file.
//   ts     in a fresh process against the built packages
//   sh     with bash -euo pipefail; http://localhost:8000 is a server started for that file
//   json   must parse; yaml must parse
// A block that cannot run here carries a comment line above it, `<!-- not run here: reason -->`, and is listed by the last test.
import { execFile, spawn } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { transform } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";

const docs = fileURLToPath(new URL(".", import.meta.url));
const root = join(docs, "..");
const work = join(docs, "temp");
const cli = join(root, "apps/worker/dist/main.js");

interface Block {
	readonly language: string;
	readonly code: string;
	readonly line: number;
	readonly notRun: string | null;
}

function blocksOf(file: string): Block[] {
	const text = readFileSync(join(root, file), "utf8");
	return [...text.matchAll(/(?:<!-- not run here: (.+?) -->\n\n?)?^```(\w+)\n([\s\S]*?)^```$/gm)].map(
		(match) => ({
			notRun: match[1] ?? null,
			language: match[2]!,
			code: match[3]!,
			line: text.slice(0, match.index).split("\n").length,
		}),
	);
}

function run(command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
	return new Promise((resolve, reject) => {
		const child = execFile(command, args, { cwd, env, timeout: 100_000 }, (error, stdout, stderr) =>
			error ? reject(new Error(`${error.message}\n${stdout}\n${stderr}`)) : resolve(stdout),
		);
		child.stdin?.end();
	});
}

/** `dyn-worker run` on a free port; resolves with its base address. */
async function startServer(): Promise<{ address: string; stop(): Promise<void> }> {
	const child = spawn(process.execPath, [cli, "run", "--http-port", "0"], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
	const address = await new Promise<string>((resolve, reject) => {
		let output = "";
		const read = (chunk: Buffer) => {
			output += chunk;
			const found = /http:\/\/[\w.:[\]]+:\d+/.exec(output);
			if (found) resolve(found[0]);
		};
		child.stdout.on("data", read);
		child.stderr.on("data", read);
		child.once("exit", () => reject(new Error(`the server ended: ${output}`)));
	});
	return {
		address,
		async stop() {
			child.kill("SIGTERM");
			await ended;
		},
	};
}

const markdown = (folder: string) =>
	readdirSync(join(root, folder))
		.filter((name) => name.endsWith(".md"))
		.map((name) => join(folder, name));
const readmes = ["packages", "apps"].flatMap((floor) =>
	readdirSync(join(root, floor)).flatMap((name) =>
		markdown(join(floor, name)).filter((file) => basename(file) === "README.md"),
	),
);
const files = ["README.md", ...markdown("docs/guides"), ...readmes];

const bin = join(work, "bin");
beforeAll(() => {
	rmSync(work, { recursive: true, force: true });
	mkdirSync(bin, { recursive: true });
	writeFileSync(join(bin, "dyn-worker"), `#!/bin/sh\nexec "${process.execPath}" "${cli}" "$@"\n`);
	chmodSync(join(bin, "dyn-worker"), 0o755);
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

for (const file of files) {
	const blocks = blocksOf(file).filter(({ notRun }) => notRun === null);
	if (blocks.length === 0) continue;
	describe(file, () => {
		const folder = join(work, file.replaceAll("/", "-").replace(/\.md$/, ""));
		const usesServer = blocks.some(({ code }) => code.includes("localhost:8000"));
		let server: Awaited<ReturnType<typeof startServer>> | null = null;
		beforeAll(async () => {
			mkdirSync(folder, { recursive: true });
			if (usesServer) server = await startServer();
		}, 300_000);
		afterAll(() => server?.stop());

		for (const { language, code, line } of blocks) {
			it(`line ${line} (${language})`, async () => {
				const text = server ? code.replaceAll("http://localhost:8000", server.address) : code;
				const env = { ...process.env, PATH: `${bin}:${process.env["PATH"]}`, NO_COLOR: "1" };
				if (language === "json") JSON.parse(text);
				else if (language === "yaml") parseYaml(text);
				else if (language === "sh") await run("bash", ["-euo", "pipefail", "-c", text], folder, env);
				else if (language === "ts") {
					const program = join(folder, `line-${line}.mjs`);
					writeFileSync(
						program,
						(await transform(text, { loader: "ts", format: "esm", target: "node20" })).code,
					);
					await run(process.execPath, [program], folder, env);
				} else
					expect(["text", "mermaid"], `${file}:${line} has a ${language} block that nothing runs`).toContain(
						language,
					);
			});
		}
	});
}

it("says why for each block that is not run", () => {
	const notRun = files.flatMap((file) =>
		blocksOf(file).flatMap((block) => (block.notRun ? [`${file}:${block.line}: ${block.notRun}`] : [])),
	);
	if (notRun.length > 0) console.log(notRun.join("\n"));
	expect(notRun.length).toBeLessThanOrEqual(15);
});
