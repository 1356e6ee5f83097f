// SPDX-License-Identifier: Apache-2.0

const PREFIX = "--trtllm.";

/**
 * Takes Dynamo's `--trtllm.a.b VALUE` flags, which no table can list, out of a command line.
 * @returns `dynamic`: those flags with their values, for `parseDynamicArgs`; `rest`: everything else, in order
 */
export function takeDynamicFlags(argv: readonly string[]): { dynamic: string[]; rest: string[] } {
	const dynamic: string[] = [];
	const rest: string[] = [];
	for (let i = 0; i < argv.length; i++) {
		const argument = argv[i]!;
		if (!argument.startsWith(PREFIX)) {
			rest.push(argument);
			continue;
		}
		dynamic.push(argument);
		// What looks like another flag is left for it; parseDynamicArgs then says that a value is missing.
		const next = argv[i + 1];
		if (!argument.includes("=") && next !== undefined && !next.startsWith("--")) dynamic.push(argv[++i]!);
	}
	return { dynamic, rest };
}
