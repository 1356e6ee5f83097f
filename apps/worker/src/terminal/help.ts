// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";
import { COMMANDS, type CommandTable } from "../options/commands.js";

/** Help of one command; that of the default command also lists the others. */
export function helpText(table: CommandTable, colour: boolean): string {
	const bold = (text: string) => (colour ? `\u001b[1m${text}\u001b[0m` : text);
	const dim = (text: string) => (colour ? `\u001b[2m${text}\u001b[0m` : text);
	const lines = [table.summary, "", bold("Usage"), `  ${table.usage}`];
	if (table === COMMANDS[0]) {
		lines.push(
			"",
			bold("Commands"),
			...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(11)} ${summary}`),
		);
	}
	lines.push("", bold("Examples"));
	const width = Math.max(...table.examples.map(([command]) => command.length));
	for (const [command, does] of table.examples) lines.push(`  ${command.padEnd(width)}  ${dim(does)}`);
	const shown = table.options.filter(({ gone }) => !gone);
	const column = Math.max(...shown.map((spec) => signature(spec).length));
	for (const group of [...new Set(shown.map((spec) => spec.group))]) {
		lines.push("", bold(group));
		for (const spec of shown.filter((each) => each.group === group)) {
			const extra = [spec.default === undefined ? null : `default ${spec.default}`, spec.env?.[0] ?? null]
				.filter(Boolean)
				.join(", ");
			lines.push(`  ${signature(spec).padEnd(column)}  ${spec.help}${extra ? dim(` [${extra}]`) : ""}`);
		}
	}
	return `${lines.join("\n")}\n`;
}

export function signature({ flags, value }: OptionSpec): string {
	const short = flags.find((flag) => flag.length === 1);
	return `${short ? `-${short}, ` : "    "}--${flags[0]}${value ? ` ${value}` : ""}`;
}
