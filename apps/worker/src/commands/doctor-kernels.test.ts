// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { kernels } from "./doctor-kernels.js";

const all = ["amx", "avx512", "avx2", "portable"];
const avx2 = ["avx2", "fma", "f16c"];
const avx512 = [...avx2, "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16"];
const amx = [...avx512, "amx_tile", "amx_int8", "amx_bf16"];
const said = (families: readonly string[], best: string, arch: string, flags: readonly string[] | null) => {
	const { level, what, fix } = kernels(
		{ families, isas: all.slice(all.indexOf(best)) },
		arch,
		flags && new Set(flags),
	);
	return [level, what.replace("kernels: ", ""), ...(fix ? [fix] : [])];
};

it("names the kernels that are used, and why no better ones are", () => {
	expect(said(all, "amx", "x64", amx)).toEqual(["ok", "amx"]);
	expect(said(all, "avx512", "x64", avx512)).toEqual([
		"ok",
		"avx512; not amx: the CPU, or what it is made to look like, lacks amx_tile, amx_int8, amx_bf16",
	]);
	expect(said(all, "avx512", "x64", amx)).toEqual([
		"tip",
		"avx512; not amx: the CPU has it, but the system does not permit it",
		expect.stringContaining("arch_prctl"),
	]);
	expect(said(["avx512", "avx2", "portable"], "avx512", "x64", amx)).toEqual([
		"tip",
		"avx512; not amx: this binary was built without it",
		expect.stringContaining("build"),
	]);
	expect(said(all, "avx2", "x64", avx2)[1]).toMatch(/^avx2; not amx: .*; not avx512: .* lacks avx512f, /);
	expect(said(all, "portable", "x64", null)[1]).toContain("not avx2: the CPU does not have it, or");
	expect(said(["portable"], "portable", "arm64", null)).toEqual([
		"ok",
		"portable; those with vectors are for x86-64 only, this is arm64",
	]);
});
