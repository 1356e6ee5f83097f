// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { DynError } from "@dyn/common";
import { compareEngineVersions, LAST_WITH_EXECUTOR } from "./engine-version.js";
import type { Environment } from "./serve-options.js";

/** An installed TensorRT-LLM. */
export interface InstalledEngine {
	/** What starts it: program and first arguments. */
	readonly command: readonly string[];
	/** The Python that has it. */
	readonly python: string;
	readonly version: string;
	/** Whether it has an OpenEngine server. */
	readonly openEngine: boolean;
	/** Protocols whose Python bindings, which are extras of the package, are installed. */
	readonly grpcBindings: readonly ("openengine" | "smg")[];
	/** "removed" from releases after 1.3.0rc20: neither the C++ executor nor prebuilt engines exist any more. */
	readonly executorApi: "present" | "removed";
}

export interface ProbeEngineOptions {
	/** Default: the interpreter of the trtllm-serve that is found on the path, else python3. */
	readonly python?: string | undefined;
	readonly environment: Environment;
	/** Default 20 000. */
	readonly timeoutMs?: number | undefined;
}

/**
 * Asks for the distribution's metadata and looks for the server's file. Never imports tensorrt_llm itself: that takes many
 * seconds, wants a GPU and starts MPI.
 */
const QUESTION = `
import importlib.metadata, importlib.util, json, os
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
spec = importlib.util.find_spec("tensorrt_llm")
folders = list(spec.submodule_search_locations or []) if spec else []
server = os.path.join("grpc", "openengine", "servicer.py")
print(json.dumps({
    "version": version("tensorrt_llm"),
    "openEngine": any(os.path.isfile(os.path.join(folder, server)) for folder in folders),
    "grpcBindings": [protocol for protocol, name in [
        ("openengine", "openengine-openengine-grpc-python"),
        ("smg", "smg-grpc-proto"),
    ] if version(name)],
}))
`;

type Answer = Pick<InstalledEngine, "openEngine" | "grpcBindings"> & { readonly version: string | null };

const INSTALL =
	'install it on a Linux machine with an NVIDIA GPU: pip install "tensorrt_llm[openengine]" (its installation guide has the index and the CUDA version), or name the Python that has it with --trtllm-python';

/**
 * Finds trtllm-serve and its version, in well under a second.
 * @throws DynError NOT_FOUND when there is none, with the install command; DEADLINE_EXCEEDED when Python does not answer
 */
export async function probeEngine(options: ProbeEngineOptions): Promise<InstalledEngine> {
	const { environment, timeoutMs = 20_000 } = options;
	const program = options.python ? null : await findProgram("trtllm-serve", environment["PATH"]);
	const python = options.python ?? (program && (await interpreterOf(program))) ?? "python3";
	const { version, openEngine, grpcBindings } = await ask(python, environment, timeoutMs);
	if (version === null) throw new DynError("NOT_FOUND", `there is no TensorRT-LLM in ${python}; ${INSTALL}`);
	return {
		command: program ? [program] : [python, "-m", "tensorrt_llm.commands.serve"],
		python,
		version,
		openEngine,
		grpcBindings,
		executorApi: compareEngineVersions(version, LAST_WITH_EXECUTOR) > 0 ? "removed" : "present",
	};
}

function ask(python: string, environment: Environment, timeoutMs: number): Promise<Answer> {
	return new Promise((resolve, reject) => {
		const settings = { env: { ...environment }, timeout: timeoutMs, killSignal: "SIGKILL" } as const;
		const child = execFile(python, ["-c", QUESTION], settings, (error, stdout, stderr) => {
			if (error?.killed)
				reject(
					new DynError(
						"DEADLINE_EXCEEDED",
						`${python} did not say within ${timeoutMs / 1000} s whether it has TensorRT-LLM; run ${python} -c 'import importlib.metadata' to see why`,
					),
				);
			else if (error?.code === "ENOENT" || error?.code === "EACCES")
				reject(new DynError("NOT_FOUND", `cannot run ${python} (${error.code}); ${INSTALL}`));
			else {
				try {
					resolve(JSON.parse(stdout));
				} catch (cause) {
					const said = stderr.trim().split("\n").at(-1) || `exit code ${error?.code ?? 0}`;
					reject(
						new DynError("NOT_FOUND", `${python} cannot be asked for TensorRT-LLM: ${said}; ${INSTALL}`, {
							cause,
						}),
					);
				}
			}
		});
		child.stdin?.end();
	});
}

async function findProgram(name: string, path = ""): Promise<string | null> {
	for (const folder of path.split(delimiter).filter(Boolean)) {
		const file = join(folder, name);
		if (
			await access(file, constants.X_OK).then(
				() => true,
				() => false,
			)
		)
			return file;
	}
	return null;
}

/**
 * The Python of a console script: its `#!` line, also behind `env`, or the `exec` line that pip writes for long paths.
 * Null when the file names none.
 */
async function interpreterOf(script: string): Promise<string | null> {
	const [first = "", second = ""] = (await readFile(script, "utf8")).split("\n", 2);
	if (/^#!\/bin\/sh/.test(first)) return /^'''exec' "?([^"\s]+)"?/.exec(second)?.[1] ?? null;
	const words = /^#!\s*(.+)$/.exec(first)?.[1]?.trim().split(/\s+/) ?? [];
	const named = words[0]?.endsWith("/env")
		? words.find((word, i) => i > 0 && !word.startsWith("-"))
		: words[0];
	return named && /python[\d.]*$/.test(named) ? named : null;
}
