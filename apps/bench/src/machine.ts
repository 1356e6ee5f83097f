// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";

/** What a figure must be read with: processor, cores, memory, kernel flags that choose the code path, load. */
export function describeMachine(): Record<string, unknown> {
	const flags = new Set(/^flags\s*:\s*(.*)$/m.exec(readText("/proc/cpuinfo"))?.[1]?.split(" ") ?? []);
	const named = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8"].filter((flag) =>
		flags.has(flag),
	);
	return {
		cpu: cpus()[0]?.model ?? "unknown",
		cores: cpus().length,
		memoryGiB: Math.round(totalmem() / 2 ** 30),
		flags: named,
		node: process.version,
		loadAverage: loadavg()[0],
	};
}

/** CPU time used by everyone and stolen by the hypervisor since boot, in clock ticks. */
export function cpuTicks(): { readonly busy: number; readonly steal: number; readonly total: number } {
	const fields = readText("/proc/stat").split("\n", 1)[0]!.trim().split(/\s+/).slice(1).map(Number);
	const at = (index: number) => fields[index] ?? 0;
	const total = fields.slice(0, 8).reduce((sum, value) => sum + value, 0);
	return { busy: at(0) + at(1) + at(2) + at(5) + at(6), steal: at(7), total };
}

/** CPU time used by one process, in clock ticks; 0 when it is gone. */
export function processTicks(pid: number): number {
	const stat = readText(`/proc/${pid}/stat`).split(") ")[1]?.split(" ");
	return stat ? Number(stat[11]) + Number(stat[12]) : 0;
}

function readText(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return "";
	}
}
