#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Stands in for trtllm-serve in tests of its supervisor: GET /health on --port answers 200, or 503 when SICK is set. It has a
// child process, as the real one has MPI workers, and writes both pids to $PIDS once it listens.
import { spawn } from "node:child_process";
import { appendFileSync, existsSync } from "node:fs";
import { createServer } from "node:http";

const env = process.env;
const lives = env.PIDS && existsSync(env.PIDS) ? 1 : 0;
console.log("[TRT-LLM] [I] loading");
console.error("Traceback: the last words");
if (env.EXIT || (env.EXIT_AGAIN && lives > 0)) process.exit(Number(env.EXIT ?? env.EXIT_AGAIN));
if (env.IGNORE_TERM) process.on("SIGTERM", () => console.error("not yet"));
else process.on("SIGTERM", () => process.exit(0));
const child = spawn(process.execPath, ["-e", "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"], { stdio: "inherit" });
const port = Number(process.argv[process.argv.indexOf("--port") + 1]);
let sick = false;
const server = createServer((request, response) => {
	if (request.url === "/sicken") sick = true;
	response.writeHead(sick || env.NEVER_READY ? 503 : 200).end(JSON.stringify(process.argv.slice(2)));
});
server.listen(port, "127.0.0.1", () => appendFileSync(env.PIDS, `${process.pid} ${child.pid}\n`));
