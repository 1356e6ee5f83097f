// SPDX-License-Identifier: Apache-2.0
import { COMMANDS } from "./options/commands.js";

/** docs/reference/cli.md: every command and option, from the same tables that parse them. */
export function cliReference(): string {
	const tables = COMMANDS.flatMap((table) =>
		table.withTrtllm ? [table, { ...table.withTrtllm, name: `${table.name} --engine trtllm` }] : [table],
	);
	const sections = tables.map(({ name, summary, usage, examples, options }) => {
		const rows = options.map((spec) => {
			const flags = spec.flags.map((flag) => `\`${flag.length === 1 ? "-" : "--"}${flag}\``).join(", ");
			const value = spec.choices ? spec.choices.join(" \\| ") : (spec.value ?? "");
			const env = (spec.env ?? []).map((variable) => `\`${variable}\``).join(", ");
			return `| ${flags} | ${value} | ${env} | ${spec.default ?? ""} | ${spec.gone ? `Gone: ${spec.gone}` : spec.help} |`;
		});
		const shown = examples.map(([command, does]) => `- \`${command}\`: ${does}`);
		return [
			`## ${name}`,
			"",
			`${summary}.`,
			"",
			`    ${usage}`,
			"",
			...shown,
			"",
			"| flag | value | environment | default | meaning |",
			"| --- | --- | --- | --- | --- |",
			...rows,
		].join("\n");
	});
	return [
		"# Command line",
		"",
		"A flag wins over an environment variable. Booleans can be negated: `--no-offline`. Generated from `apps/worker/src/options/commands.ts`.",
		"",
		sections.join("\n\n"),
		"",
	].join("\n");
}
