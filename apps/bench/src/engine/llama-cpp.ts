// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { peerCache, peerSources } from "../repository.js";

/** llama.cpp v0.5.0 as npm packages it. */
const llamaCppFolder: string = join(peerCache, "llama-cpp");
const libraries = "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64";

export type LlamaCppProgram = "llbench" | "requantize" | "llama-server";

/** Downloads and builds it, the first time. @returns where the program is */
export function buildLlamaCpp(program: LlamaCppProgram): string {
	execFileSync("bash", [join(peerSources, "llama-cpp/build.sh"), llamaCppFolder, program], {
		stdio: ["ignore", "inherit", "inherit"],
	});
	return join(llamaCppFolder, program === "llama-server" ? libraries : "", program);
}

/** The library of its kernels for one instruction set, among those that it chooses from by itself. */
export function cpuLibrary(isa: Isa): string {
	return join(llamaCppFolder, libraries, `libggml-cpu-${LIBRARY_OF_ISA[isa]}.so`);
}

/** Instruction sets by the names that the embedded engine has for them, best first. */
export const ISAS = ["amx", "avx512", "avx2"] as const;
export type Isa = (typeof ISAS)[number];

/** What llama.cpp calls the first CPUs with them: AMX besides AVX-512; VNNI and bf16 besides AVX-512; AVX2. */
const LIBRARY_OF_ISA: Readonly<Record<Isa, string>> = {
	amx: "sapphirerapids",
	avx512: "zen4",
	avx2: "haswell",
};
