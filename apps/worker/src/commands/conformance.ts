// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import { runWireConformance, type WireConformanceResult } from "@dyn/openengine/conformance";
import type { Values } from "../options/values.js";
import { usesColour } from "../terminal/terminal.js";

/** One line per rule of OpenEngine, or JSON; exit code 1 when the server breaks one. */
export async function conformance(values: Values): Promise<number> {
	const endpoint = values["grpcEndpoint"] as string | undefined;
	if (!endpoint)
		throw invalidArgument(
			"grpc-endpoint",
			"there is no server to judge: say which one with --grpc-endpoint HOST:PORT",
		);
	const isJson = values["json"] === true;
	const colour = usesColour(process.stdout);
	const report = await runWireConformance({
		endpoint,
		model: values["model"] as string | undefined,
		role: values["role"] as "aggregated" | "prefill" | "decode" | undefined,
		onResult: (result) => {
			if (!isJson) process.stdout.write(resultLine(result, colour));
		},
	});
	const { engine, model, role, passed, failed, known, skipped } = report;
	process.stdout.write(
		isJson
			? `${JSON.stringify({ ok: failed === 0, ...report }, null, 2)}\n`
			: `\n${engine}, ${model}, ${role}: ${passed} passed, ${failed} failed, ${known} known to differ, ${skipped} skipped\n`,
	);
	return failed === 0 ? 0 : 1;
}

const LABELS = {
	passed: ["ok  ", 32],
	failed: ["FAIL", 31],
	known: ["diff", 33],
	skipped: ["skip", 33],
} as const;

/** @param colour whether a terminal shows it */
export function resultLine({ name, outcome, message }: WireConformanceResult, colour: boolean): string {
	const [label, code] = LABELS[outcome];
	const shown = colour ? `\u001b[${code}m${label}\u001b[0m` : label;
	return `${shown}  ${name}${message ? `\n      ${message}` : ""}\n`;
}
