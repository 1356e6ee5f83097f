// SPDX-License-Identifier: Apache-2.0
// Writes src/generated/messages.ts (types) and src/generated/codec.ts (encoders and decoders over protobufjs' Writer and
// Reader) from proto/.   node scripts/generate.mjs          writes
//                        node scripts/generate.mjs --check  fails if one differs
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";
import { codecFile } from "./generate-codec.mjs";
import { messagesFile } from "./generate-messages.mjs";

const folder = fileURLToPath(new URL("..", import.meta.url));
const root = new protobuf.Root();
root.resolvePath = (_origin, target) =>
	target.startsWith("google/") ? target : join(folder, "proto", target);
root.loadSync(
	readdirSync(join(folder, "proto/openengine/v1"))
		.sort()
		.map((name) => `openengine/v1/${name}`),
);
root.resolveAll();
const things = root.lookup("openengine.v1").nestedArray;
const types = things.filter((thing) => thing instanceof protobuf.Type);
const enums = things.filter((thing) => thing instanceof protobuf.Enum);

mkdirSync(join(folder, "src/generated"), { recursive: true });
let wrong = 0;
for (const [name, text] of [
	["messages.ts", messagesFile(types, enums)],
	["codec.ts", codecFile(types)],
]) {
	const path = join(folder, "src/generated", name);
	const formatted = format(path, text);
	if (!process.argv.includes("--check")) writeFileSync(path, formatted);
	else if (readFileSync(path, "utf8") !== formatted) {
		console.error(`${name} is not what proto/ says: run node scripts/generate.mjs`);
		wrong++;
	}
}
process.exit(wrong === 0 ? 0 : 1);

/** As `biome format` would leave it. */
function format(path, text) {
	const { status, stdout, stderr } = spawnSync("npx", ["biome", "format", `--stdin-file-path=${path}`], {
		cwd: join(folder, "../.."),
		input: text,
		encoding: "utf8",
	});
	if (status !== 0) throw new Error(stderr);
	return stdout;
}
