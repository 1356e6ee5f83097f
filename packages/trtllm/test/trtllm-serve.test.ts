// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createLogger, DynError, formatJsonLine } from "@dyn/common";
import {
	createTrtllmServe,
	type ServeEvent,
	type ServeOptions,
	serveArguments,
	type TrtllmServeOptions,
} from "@dyn/trtllm/serve";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const engine = fileURLToPath(new URL("./__fixtures__/engine.mjs", import.meta.url));

let folder: string;
let port: number;
beforeEach(async () => {
	folder = mkdtempSync(join(tmpdir(), "supervisor-"));
	const listener = createServer().listen(0, "127.0.0.1");
	await once(listener, "listening");
	port = (listener.address() as { port: number }).port;
	listener.close();
	await once(listener, "close");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ask = (path: string, signal?: AbortSignal) =>
	fetch(`http://127.0.0.1:${port}${path}`, signal ? { signal } : {});
const probe = async (signal: AbortSignal) => {
	const { ok } = await ask("/health", signal);
	if (!ok) throw new Error("not well");
};
const optionsFor = (
	env: Record<string, string> = {},
	more: Partial<TrtllmServeOptions> = {},
	serve: Partial<ServeOptions> = {},
): TrtllmServeOptions => ({
	serve: serveArguments({ model: "m", command: [engine], protocol: "http", port, ...serve }),
	environment: { ...process.env, TMPDIR: folder, PIDS: join(folder, "pids"), ...env },
	probe,
	restartDelayMs: () => 10,
	graceMs: 5000,
	...more,
});
/** Pids of every life so far: the engine's and its child's. */
const lives = () =>
	readFileSync(join(folder, "pids"), "utf8")
		.trim()
		.split("\n")
		.map((line) => line.split(" ").map(Number) as [number, number]);
const isAlive = (pid: number) => {
	try {
		process.kill(pid, 0);
		// A zombie of an init that does not reap is as dead as can be.
		return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
	} catch {
		return false;
	}
};
const untilGone = async (pid: number) => {
	while (isAlive(pid)) await delay(10);
};
/** Collects events and lets tests wait for the next of a kind. */
function recorder() {
	const events: ServeEvent[] = [];
	const waiting = new Map<string, (event: ServeEvent) => void>();
	return {
		events,
		onEvent(event: ServeEvent) {
			events.push(event);
			waiting.get(event.type)?.(event);
		},
		next: (type: ServeEvent["type"]) => new Promise<ServeEvent>((resolve) => waiting.set(type, resolve)),
	};
}

describe("start and stop", () => {
	it("waits until it is ready, passes its arguments, and leaves neither process nor file behind", async () => {
		const serve = await createTrtllmServe(optionsFor({}, {}, { guidedDecodingBackend: "xgrammar" }));
		const argv: string[] = await (await ask("/health")).json();
		expect(argv.slice(0, 5)).toEqual(["m", "--host", "127.0.0.1", "--port", String(port)]);
		const [flag, path] = argv.slice(-2) as [string, string];
		expect(flag).toBe("--extra_llm_api_options");
		expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ guided_decoding_backend: "xgrammar" });
		expect(statSync(path).mode & 0o077).toBe(0);
		const [pid, child] = lives()[0]!;
		expect(serve.pid).toBe(pid);
		await serve.close();
		await serve.close();
		await serve.closed;
		await untilGone(child);
		expect([isAlive(pid), existsSync(path), serve.failure]).toEqual([false, false, null]);
	});

	it("kills the whole group when it ignores SIGTERM", async () => {
		const serve = await createTrtllmServe(optionsFor({ IGNORE_TERM: "1" }, { graceMs: 100 }));
		const [pid, child] = lives()[0]!;
		await serve.close();
		await untilGone(child);
		expect(isAlive(pid)).toBe(false);
	});

	it("reports how it ended and its last words when it never gets ready, without a second try", async () => {
		const start = createTrtllmServe(optionsFor({ EXIT: "3" }));
		await expect(start).rejects.toThrow(
			/engine\.mjs ended with exit code 3; its last lines were:\nTraceback: the last words/,
		);
		await expect(start).rejects.toMatchObject({ code: "UNAVAILABLE" });
	});

	it("ends it when it takes too long, or when nobody waits any more", async () => {
		const late = createTrtllmServe(optionsFor({ NEVER_READY: "1" }, { startupDeadlineMs: 1500 }));
		await expect(late).rejects.toThrow("the engine was not ready after 1.5 s");
		await untilGone(lives()[0]![0]);
		const controller = new AbortController();
		const start = createTrtllmServe(optionsFor({ NEVER_READY: "1" }, { signal: controller.signal }));
		controller.abort();
		await expect(start).rejects.toMatchObject({ code: "CANCELLED" });
	});

	it("names a program that does not exist", async () => {
		const options = optionsFor({}, {}, { command: [join(folder, "absent")] });
		await expect(createTrtllmServe(options)).rejects.toSatisfy((error) => DynError.is(error, "NOT_FOUND"));
		await expect(createTrtllmServe(options)).rejects.toThrow("dyn-worker doctor --engine trtllm");
	});

	it("passes its output on as log lines", async () => {
		const lines: string[] = [];
		const logger = createLogger("info", (record) => lines.push(formatJsonLine(record)));
		const serve = await createTrtllmServe(optionsFor({}, { logger }));
		await serve.close();
		expect(lines.join("\n")).toContain('"message":"trtllm-serve","line":"[TRT-LLM] [I] loading"');
	});
});

describe("a life that ends", () => {
	it("is told within a second of kill -9, with its group gone, and followed by another", async () => {
		const seen = recorder();
		const serve = await createTrtllmServe(optionsFor({}, { onEvent: seen.onEvent }));
		const [pid, child] = lives()[0]!;
		const [exited, restarted] = [seen.next("exited"), seen.next("restarted")];
		const killedMs = performance.now();
		process.kill(pid, "SIGKILL");
		expect(await exited).toMatchObject({ pid, signal: "SIGKILL", exitCode: null });
		expect(performance.now() - killedMs).toBeLessThan(1000);
		await untilGone(child);
		expect(await restarted).toMatchObject({ restarts: 1, pid: serve.pid });
		expect(serve.pid).not.toBe(pid);
		expect((await ask("/health")).status).toBe(200);
		await serve.close();
		expect(lives()).toHaveLength(2);
	});

	it("is not followed by another for ever", async () => {
		const waits: number[] = [];
		const restartDelayMs = (restarts: number) => {
			waits.push(restarts);
			return 1;
		};
		const serve = await createTrtllmServe(
			optionsFor({ EXIT_AGAIN: "7" }, { maxRestarts: 3, restartDelayMs }),
		);
		process.kill(serve.pid, "SIGKILL");
		await serve.closed;
		expect(waits).toEqual([0, 1, 2]);
		expect(serve.failure?.rawMessage).toContain("given up after 3 restarts in a row");
		expect(serve.failure?.rawMessage).toContain(
			"exit code 7; its last lines were:\nTraceback: the last words",
		);
		expect(readdirSync(folder)).toEqual(["pids"]);
		await serve.close();
	});

	it("is the last one when it is closed while it waits for a restart, whatever a listener throws", async () => {
		const seen = recorder();
		const onEvent = (event: ServeEvent) => {
			seen.onEvent(event);
			throw new Error("a bad listener");
		};
		const serve = await createTrtllmServe(optionsFor({}, { onEvent, restartDelayMs: () => 3_600_000 }));
		const exited = seen.next("exited");
		process.kill(serve.pid, "SIGKILL");
		await exited;
		await serve.close();
		await serve.closed;
		expect(lives()).toHaveLength(1);
	});

	it("is brought about when its health is gone", async () => {
		const seen = recorder();
		const serve = await createTrtllmServe(
			optionsFor(
				{ IGNORE_TERM: "1" },
				{ onEvent: seen.onEvent, monitor: { intervalMs: 10, shutdownTimeoutMs: 50 } },
			),
		);
		const [exited, restarted] = [seen.next("exited"), seen.next("restarted")];
		await ask("/sicken");
		expect(await exited).toMatchObject({ signal: "SIGKILL" });
		expect(await restarted).toMatchObject({ restarts: 1 });
		await serve.close();
	});

	it("comes with the end of this process, even by kill -9", async () => {
		const program = `
			import { createTrtllmServe } from "@dyn/trtllm/serve";
			const { serve, environment, port } = JSON.parse(process.argv[1]);
			const probe = async () => { if (!(await fetch("http://127.0.0.1:" + port + "/health")).ok) throw new Error("not well"); };
			await createTrtllmServe({ serve, environment, probe, python: "python3" });
			console.log("ready");
		`;
		const { serve, environment } = optionsFor();
		const parent = spawn(
			process.execPath,
			["--input-type=module", "-e", program, JSON.stringify({ serve, environment, port })],
			{ cwd: fileURLToPath(new URL("..", import.meta.url)), stdio: ["ignore", "pipe", "inherit"] },
		);
		await once(parent.stdout, "data");
		const [pid, child] = lives()[0]!;
		parent.kill("SIGKILL");
		await untilGone(pid);
		process.kill(child, "SIGKILL"); // The stand-in does not watch over its child, as MPI does.
	});
});
