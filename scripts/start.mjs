// SPDX-License-Identifier: Apache-2.0
// npm start [-- options]: installs, builds, gets the default model and serves it. Options are those of `dyn-worker run`.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { build, checkMachine, install, root } from "./lib/prepare.mjs";

checkMachine();
install();
build();

const worker = spawn(process.execPath, [join(root, "apps/worker/dist/main.js"), ...process.argv.slice(2)], {
	stdio: "inherit",
});
// A terminal sends Ctrl-C to the whole group: the worker has it already. Other signals are passed on.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => worker.kill("SIGTERM"));
worker.on("exit", (code, signal) => process.exit(signal ? 1 : code));
