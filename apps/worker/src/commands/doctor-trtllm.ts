// SPDX-License-Identifier: Apache-2.0
import { readdir, statfs } from "node:fs/promises";
import { DynError } from "@dyn/common";
import {
	checkServeConfiguration,
	type EngineFacts,
	type Environment,
	type InstalledEngine,
	probeEngine,
	type Finding as ServeFinding,
	type ServeOptions,
	serveArguments,
} from "@dyn/trtllm/serve";
import { optionsWithoutEffect, serveOptions } from "../options/serve-options.js";
import { trtllm } from "../options/tables/trtllm.js";
import type { Values } from "../options/values.js";
import { type Finding, firstLine, portIsFree } from "./doctor-checks.js";

const LEVELS: Readonly<Record<ServeFinding["severity"], Finding["level"]>> = {
	error: "fail",
	warning: "warn",
	advice: "tip",
};
/** Shared memory below which several ranks hang (containers have 64 MiB unless told otherwise; TensorRT-LLM issue 9680). */
const SHARED_MEMORY_BYTES = 2 ** 30;

/**
 * Whether a worker with these options could run TensorRT-LLM here. Starts nothing.
 * @throws DynError INVALID_ARGUMENT for options that make no sense by themselves
 */
export async function doctorTrtllm(values: Values, environment: Environment): Promise<readonly Finding[]> {
	const options = await serveOptions(values, environment);
	const installed = await probeEngine({
		python: values["trtllmPython"] as string | undefined,
		environment,
	}).catch((error: unknown) => DynError.from(error));
	const modelFiles = await readdir(options.model).catch(() => []);
	const facts: EngineFacts = DynError.is(installed) ? { modelFiles } : { ...installed, modelFiles };
	const started = serveArguments({
		...options,
		command: DynError.is(installed) ? undefined : installed.command,
	});
	return [
		engine(installed),
		await gpu(),
		await sharedMemory(options),
		await portIsFree(options.host ?? "127.0.0.1", options.port, "--engine-port"),
		...checkServeConfiguration(options, facts).map(
			({ code, severity, what, fix }): Finding => ({ level: LEVELS[severity], code, what, fix }),
		),
		...(values["publishEventsAndMetrics"] === true ? [OLD_PUBLISH] : []),
		...optionsWithoutEffect(values).map(withoutEffect),
		...started.warnings.map((what): Finding => ({ level: "tip", code: "engine-argument-changed", what })),
		{
			level: "ok",
			code: "command",
			what: `a worker would start: ${[started.command, ...started.argv].join(" ")}${started.yaml ? ` ${started.configFlag} with\n${indented(started.yaml)}` : ""}`,
		},
	];
}

const OLD_PUBLISH: Finding = {
	level: "warn",
	code: "publish-flag-deprecated",
	what: "--publish-events-and-metrics is deprecated",
	fix: "use --publish-kv-events, --publish-metrics or both",
};

function withoutEffect(name: string): Finding {
	const flag = `--${trtllm.find((spec) => spec.name === name)!.flags[0]}`;
	return {
		level: "warn",
		code: "option-without-effect",
		what: `${flag} does not reach trtllm-serve, which has no flag for it`,
		fix: "leave it out; what this release of the engine calls it can go into the file of --extra-engine-args",
	};
}

const indented = (text: string) => text.trimEnd().replace(/^/gm, "        ");

function engine(installed: InstalledEngine | DynError): Finding {
	if (DynError.is(installed)) {
		const [what, ...fix] = installed.rawMessage.split("; ");
		return { level: "fail", code: "engine-missing", what: what!, fix: fix.join("; ") };
	}
	const { version, python, openEngine, executorApi } = installed;
	const traits = `${openEngine ? "with" : "without"} an OpenEngine server, executor API ${executorApi}`;
	return { level: "ok", code: "engine", what: `TensorRT-LLM ${version} in ${python}, ${traits}` };
}

async function gpu(): Promise<Finding> {
	const first = await firstLine("nvidia-smi", ["--query-gpu=name,memory.total", "--format=csv,noheader"]);
	return first
		? { level: "ok", code: "gpu", what: `GPU: ${first}` }
		: {
				level: "fail",
				code: "gpu-missing",
				what: "nvidia-smi shows no GPU, and TensorRT-LLM cannot run without one",
				fix: "run it on a machine with an NVIDIA GPU and its driver, in a container with --gpus all; or use --engine embedded",
			};
}

async function sharedMemory({
	tensorParallelSize = 1,
	pipelineParallelSize = 1,
}: ServeOptions): Promise<Finding> {
	const { blocks, bsize } = await statfs("/dev/shm").catch(() => ({ blocks: 0, bsize: 0 }));
	const what = `shared memory: ${Math.round((blocks * bsize) / 2 ** 20)} MiB in /dev/shm`;
	return tensorParallelSize * pipelineParallelSize === 1 || blocks * bsize >= SHARED_MEMORY_BYTES
		? { level: "ok", code: "shared-memory", what }
		: {
				level: "warn",
				code: "shared-memory-small",
				what: `${what}: several ranks can hang with so little`,
				fix: "give the container more, for example docker run --shm-size=8g",
			};
}
