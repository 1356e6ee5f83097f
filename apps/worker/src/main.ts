#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { DynError, parseOptions } from "@dyn/common";
import { COMMANDS, type CommandTable, RUN, tableFor } from "./options/commands.js";
import { takeDynamicFlags } from "./options/dynamic-flags.js";
import type { Values } from "./options/values.js";
import { helpText } from "./terminal/help.js";
import { describeError, exitCodeOf, usesColour } from "./terminal/terminal.js";

type Command = (values: Values, positionals: readonly string[]) => Promise<number>;

/** Loaded on use: --help must not pay for engines and servers. */
const commands: Record<string, () => Promise<Command>> = {
	run: async () => (await import("./commands/run.js")).run,
	worker: async () => (await import("./commands/worker.js")).worker,
	frontend: async () => (await import("./commands/frontend.js")).frontend,
	cluster: async () => (await import("./commands/cluster.js")).cluster,
	mocker: async () => (await import("./commands/mocker.js")).mocker,
	chat: async () => (await import("./commands/chat.js")).chat,
	model: async () => (await import("./commands/model.js")).model,
	doctor: async () => (await import("./commands/doctor.js")).doctor,
	broker: async () => (await import("./commands/broker.js")).broker,
	conformance: async () => (await import("./commands/conformance.js")).conformance,
};

async function main(argv: readonly string[]): Promise<number> {
	const [first, ...rest] = argv;
	const named = COMMANDS.find(({ name }) => name === first);
	const given = named ? rest : argv;
	const table: CommandTable = tableFor(named ?? RUN, given, process.env);
	const { dynamic, rest: listed } = table.takesEngineArgs
		? takeDynamicFlags(given)
		: { dynamic: [], rest: given };
	const { values: parsed, positionals } = parseOptions(table.options, listed, process.env);
	const values: Values = dynamic.length > 0 ? { ...parsed, trtllmArgs: dynamic } : parsed;
	if (values["help"]) {
		process.stdout.write(helpText(table, usesColour(process.stdout)));
		return 0;
	}
	if (values["version"]) {
		const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
		process.stdout.write(`${version}\n`);
		return 0;
	}
	if (positionals.length > 0 && !table.takesWords) {
		const known = COMMANDS.map(({ name }) => name).join(", ");
		throw new DynError(
			"INVALID_ARGUMENT",
			`${JSON.stringify(positionals[0])} is no command (${known}) and ${table.name} takes no arguments; --help shows more`,
		);
	}
	return (await commands[table.name]!())(values, positionals);
}

main(process.argv.slice(2)).then(
	(code) => {
		process.exitCode = code;
	},
	(error) => {
		process.stderr.write(describeError(error));
		process.exit(exitCodeOf(error));
	},
);
