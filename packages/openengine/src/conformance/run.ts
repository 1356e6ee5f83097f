// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import { createOpenEngineClient, type OpenEngineClient } from "../client/openengine-client.js";
import { EngineRole } from "../generated/messages.js";
import { controlCases } from "./control-cases.js";
import { generateCases } from "./generate-cases.js";
import { handoffCases } from "./handoff-cases.js";
import { KNOWN_DEVIATIONS } from "./known-deviations.js";
import { refusalCases } from "./refusal-cases.js";
import type { WireConformanceCase, WireSubject } from "./subject.js";

/** Time for one case, ms. */
const CASE_MS = 120_000;

/** Every rule, in the order in which to read the results. */
export const wireConformanceCases: readonly WireConformanceCase[] = [
	...controlCases,
	...generateCases,
	...refusalCases,
	...handoffCases,
];

export interface WireConformanceOptions {
	/** `host:port` of the server. */
	readonly endpoint: string;
	/** Default: the first model that the server names. */
	readonly model?: string | undefined;
	/** Default: the server's word, aggregated where it says none. */
	readonly role?: WireSubject["role"] | undefined;
	/** How long to wait for the server. Default 10 s. */
	readonly startupDeadlineMs?: number | undefined;
	/** Called after each case. */
	readonly onResult?: ((result: WireConformanceResult) => void) | undefined;
}

export interface WireConformanceResult {
	readonly name: string;
	/** `known`: the server breaks the rule, as it is known to (`KNOWN_DEVIATIONS`) and clients allow for. */
	readonly outcome: "passed" | "failed" | "known" | "skipped";
	/** What the server did instead, or why the case does not concern it. */
	readonly message: string;
	readonly elapsedMs: number;
}

export interface WireConformanceReport {
	readonly endpoint: string;
	readonly engine: string;
	readonly model: string;
	readonly role: WireSubject["role"];
	readonly results: readonly WireConformanceResult[];
	readonly passed: number;
	readonly failed: number;
	readonly known: number;
	readonly skipped: number;
}

/**
 * Holds a running server against the contract, rule by rule. A failed rule is a result, not an error.
 * @throws DynError when there is no server, or none whose schema this client may use
 */
export async function runWireConformance(options: WireConformanceOptions): Promise<WireConformanceReport> {
	const { endpoint, startupDeadlineMs = 10_000, onResult } = options;
	const client = await createOpenEngineClient({ endpoint, connections: 2 });
	try {
		const subject = await subjectOf(client, options, startupDeadlineMs);
		const results: WireConformanceResult[] = [];
		for (const each of wireConformanceCases) {
			const result = await judge(each, subject);
			results.push(result);
			onResult?.(result);
		}
		const count = (outcome: WireConformanceResult["outcome"]) =>
			results.filter((result) => result.outcome === outcome).length;
		const { engineName, engineVersion } = subject.server;
		return {
			endpoint: client.endpoint,
			engine: `${engineName} ${engineVersion}`.trim(),
			model: subject.model,
			role: subject.role,
			results,
			passed: count("passed"),
			failed: count("failed"),
			known: count("known"),
			skipped: count("skipped"),
		};
	} finally {
		client.close();
	}
}

const ROLES = { [EngineRole.PREFILL]: "prefill", [EngineRole.DECODE]: "decode" } as const;

async function subjectOf(
	client: OpenEngineClient,
	options: WireConformanceOptions,
	startupDeadlineMs: number,
): Promise<WireSubject> {
	const server = await client.connect({ startupDeadlineMs });
	const model = options.model ?? server.supportedModels[0];
	if (!model) throw invalidArgument("model", "the server names no model; say which one to ask for");
	const role = options.role ?? ROLES[server.engineRole as keyof typeof ROLES] ?? "aggregated";
	return { client, server, model, role, modelInfo: await client.getModelInfo({ model }) };
}

async function judge(each: WireConformanceCase, subject: WireSubject): Promise<WireConformanceResult> {
	const { name, roles } = each;
	const began = performance.now();
	const result = (outcome: WireConformanceResult["outcome"], message = "") => ({
		name,
		outcome,
		message,
		elapsedMs: performance.now() - began,
	});
	if (roles && !roles.includes(subject.role)) return result("skipped", `not for a ${subject.role} engine`);
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(
			() => reject(new DynError("DEADLINE_EXCEEDED", `not over after ${CASE_MS} ms`)),
			CASE_MS,
		);
	});
	try {
		const reason = await Promise.race([each.run(subject), late]);
		return reason === undefined ? result("passed") : result("skipped", reason);
	} catch (error) {
		const { rawMessage } = DynError.from(error);
		const known = KNOWN_DEVIATIONS[subject.server.engineName]?.find(
			({ rule, message }) => rule === name && message.test(rawMessage),
		);
		return known
			? result("known", `${subject.server.engineName} ${known.why}`)
			: result("failed", rawMessage);
	} finally {
		clearTimeout(timer);
	}
}
