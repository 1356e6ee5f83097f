// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import type { NativeBinding } from "@dyn/trtllm-native";
import type { Finding } from "./doctor-checks.js";

/** What a family needs, by Linux' names; as native/src/kernels/select.cpp asks the CPU. */
const NEEDS: Readonly<Record<string, readonly string[]>> = {
	amx: ["amx_tile", "amx_int8", "amx_bf16", "avx512_bf16"],
	avx512: ["avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni"],
	avx2: ["avx2", "fma", "f16c"],
};
/** Best first. */
const FAMILIES = Object.keys(NEEDS);

/** What Linux says that the CPU has; null where it says nothing. */
export async function cpuFlags(): Promise<ReadonlySet<string> | null> {
	const text = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
	const flags = /^flags\s*:(.*)$/m.exec(text)?.[1];
	return flags === undefined ? null : new Set(flags.trim().split(/\s+/));
}

/**
 * Which kernels an engine uses here, and of each better family why it does not.
 * @param arch as process.arch
 */
export function kernels(
	{ families, isas }: Pick<NativeBinding, "families" | "isas">,
	arch: string,
	flags: ReadonlySet<string> | null,
): Finding {
	const used = isas[0] ?? "portable";
	const what = `kernels: ${used}`;
	if (arch !== "x64")
		return {
			level: "ok",
			code: "kernels",
			what: `${what}; those with vectors are for x86-64 only, this is ${arch}`,
		};
	const better = FAMILIES.slice(0, FAMILIES.includes(used) ? FAMILIES.indexOf(used) : FAMILIES.length);
	const reasons = better.map((family) => ({ family, ...whyNot(family, families, flags) }));
	const mendable = reasons.find(({ fix }) => fix !== undefined);
	return {
		level: mendable ? "tip" : "ok",
		code: "kernels",
		what: [what, ...reasons.map(({ family, why }) => `not ${family}: ${why}`)].join("; "),
		...(mendable ? { fix: mendable.fix! } : {}),
	};
}

function whyNot(
	family: string,
	families: readonly string[],
	flags: ReadonlySet<string> | null,
): { readonly why: string; readonly fix?: string } {
	if (!families.includes(family))
		return { why: "this binary was built without it", fix: "build the native engine anew for x86-64" };
	if (!flags) return { why: "the CPU does not have it, or the system does not permit it" };
	const missing = NEEDS[family]!.filter((flag) => !flags.has(flag));
	if (missing.length > 0)
		return { why: `the CPU, or what it is made to look like, lacks ${missing.join(", ")}` };
	return {
		why: "the CPU has it, but the system does not permit it",
		fix:
			family === "amx"
				? "allow the system call arch_prctl (a seccomp profile may forbid it), on Linux 5.16 or later"
				: "let the system, or the virtual machine, save the wide registers",
	};
}
