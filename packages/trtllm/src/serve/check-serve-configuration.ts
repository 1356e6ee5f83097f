// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { argumentChecks } from "./checks/argument-checks.js";
import type { EngineFacts, Finding } from "./checks/finding.js";
import { kvEventChecks } from "./checks/kv-event-checks.js";
import { protocolChecks } from "./checks/protocol-checks.js";
import { transferChecks } from "./checks/transfer-checks.js";
import { serveArguments } from "./serve-arguments.js";
import type { ServeOptions } from "./serve-options.js";

const CHECKS = [...argumentChecks, ...protocolChecks, ...kvEventChecks, ...transferChecks];

/**
 * What is wrong with a configuration, before minutes go by loading a model. Never throws, touches nothing.
 * @param engine what `probeEngine` found; checks that need it are left out without it
 */
export function checkServeConfiguration(options: ServeOptions, engine: EngineFacts = {}): readonly Finding[] {
	const { engineArgs, env } = serveArguments(options);
	const setup = { options, args: engineArgs, env: { ...options.environment, ...env }, engine };
	return CHECKS.flatMap((check) => check(setup) ?? []);
}

/** @throws DynError INVALID_ARGUMENT with every finding that refuses the start, and what to do about it */
export function assertServeConfiguration(findings: readonly Finding[]): void {
	const errors = findings.filter(({ severity }) => severity === "error");
	if (errors.length === 0) return;
	const lines = errors.map(({ code, what, fix }) => `${what}; ${fix} [${code}]`);
	throw new DynError("INVALID_ARGUMENT", `trtllm-serve cannot run like this: ${lines.join("\n")}`, {
		details: { findings: errors.map(({ code }) => code) },
	});
}
