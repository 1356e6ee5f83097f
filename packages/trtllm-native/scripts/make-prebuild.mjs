// SPDX-License-Identifier: Apache-2.0
// Puts a compiled native engine into the package of this platform, ready to be packed: builds it if its sources changed,
// strips it, proves that it loads, and says which C library it needs.   node scripts/make-prebuild.mjs
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const packageFolder = fileURLToPath(new URL("..", import.meta.url));
const platform = `${process.platform}-${process.arch}`;
const target = `${packageFolder.replace(/[\\/]$/, "")}-${platform}`;
if (!existsSync(join(target, "package.json"))) {
	console.error(
		`There is no package for ${platform}: make packages/trtllm-native-${platform} like packages/trtllm-native-linux-x64, and name it in the optionalDependencies of @dyn/trtllm-native.`,
	);
	process.exit(1);
}

const run = (command, args) => execFileSync(command, args, { stdio: ["ignore", 2, 2] });
run(process.execPath, [join(packageFolder, "scripts/build-native.mjs")]);
const binary = join(target, "build/dyn_native.node");
const fresh = join(target, `build/dyn_native.${process.pid}.node`);
mkdirSync(join(target, "build"), { recursive: true });
copyFileSync(join(packageFolder, "build/Release/dyn_native.node"), fresh);
run("strip", [process.platform === "darwin" ? "-x" : "--strip-unneeded", fresh]);
const { isas } = createRequire(import.meta.url)(fresh);
renameSync(fresh, binary);

// Versions of symbols stand in the binary as text.
const symbols = readFileSync(binary, "latin1").matchAll(/\0GLIBC_2\.(\d+)/g);
const glibc = Math.max(...Array.from(symbols, ([, minor]) => Number(minor)));
// On the standard error: `pnpm pack --json` has the standard output.
console.error(
	`prebuilt native engine for ${platform}: ${isas.join(", ")}${Number.isFinite(glibc) ? `; needs glibc 2.${glibc} or later` : ""}`,
);
