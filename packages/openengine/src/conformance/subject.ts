// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { DynError } from "@dyn/common";
import type { OpenEngineCallOptions, OpenEngineClient } from "../client/openengine-client.js";
import type * as m from "../generated/messages.js";
import { GrpcStatus } from "../grpc/status.js";
import type { MessageInit } from "../message-init.js";

/** The server under test, and what it said of itself. */
export interface WireSubject {
	readonly client: OpenEngineClient;
	readonly server: m.ServerInfo;
	readonly modelInfo: m.ModelInfo;
	/** The model's name in requests. */
	readonly model: string;
	readonly role: "aggregated" | "prefill" | "decode";
}

/** One rule of the contract. */
export interface WireConformanceCase {
	readonly name: string;
	/** Roles that it concerns. Default: all. */
	readonly roles?: readonly WireSubject["role"][];
	/** Resolves when the server keeps the rule, with a reason when it says that it does not have the thing; rejects with what it did instead. */
	run(subject: WireSubject): Promise<string | undefined>;
}

export function check(condition: boolean, complaint: string): asserts condition {
	if (!condition) throw new Error(complaint);
}

/** Ids that every vocabulary has. */
export const prompt = (seed: number, length = 24): number[] =>
	Array.from({ length }, (_, i) => 10 + ((seed * 31 + i * 7) % 80));

/** A greedy request for a few tokens; `init` wins, group by group. */
export function requestOf(
	{ model, role }: WireSubject,
	init: MessageInit<m.GenerateRequest> = {},
): MessageInit<m.GenerateRequest> {
	return {
		requestId: randomUUID(),
		model,
		tokenIds: { ids: prompt(1) },
		...init,
		sampling: { temperature: 0, ...init.sampling },
		stopping: { maxTokens: role === "prefill" ? 1 : 8, ignoreEos: true, ...init.stopping },
	};
}

export async function collect(
	{ client }: WireSubject,
	request: MessageInit<m.GenerateRequest>,
	options?: OpenEngineCallOptions,
): Promise<m.GenerateResponse[]> {
	const responses: m.GenerateResponse[] = [];
	for await (const response of client.generate(request, options)) responses.push(response);
	return responses;
}

export const tokensOf = (responses: readonly m.GenerateResponse[], index = 0): readonly m.TokenInfo[] =>
	responses.flatMap(({ token }) => (token?.outputIndex === index ? token.tokens : []));

const nameOf = (status: unknown) =>
	Object.entries(GrpcStatus).find(([, value]) => value === status)?.[0] ?? String(status);

/** Refused before acceptance: one of these statuses, and no response. */
export async function checkRefused(
	subject: WireSubject,
	request: MessageInit<m.GenerateRequest>,
	statuses: readonly GrpcStatus[],
	options?: OpenEngineCallOptions,
): Promise<void> {
	const responses: m.GenerateResponse[] = [];
	try {
		for await (const response of subject.client.generate(request, options)) responses.push(response);
	} catch (error) {
		checkStatus(error, statuses);
		check(responses.length === 0, `${responses.length} responses came before the refusal`);
		return;
	}
	const { error } = responses.at(-1) ?? {};
	throw new Error(
		error
			? `an error event came (${error.message}) where the status ${statuses.map(nameOf).join(" or ")} belongs`
			: `it was answered; expected status ${statuses.map(nameOf).join(" or ")}`,
	);
}

/** A unary call that must fail with one of these statuses. */
export async function checkFails(work: Promise<unknown>, statuses: readonly GrpcStatus[]): Promise<void> {
	let answer: unknown;
	try {
		answer = await work;
	} catch (error) {
		checkStatus(error, statuses);
		return;
	}
	throw new Error(
		`answered with ${JSON.stringify(answer)}; expected status ${statuses.map(nameOf).join(" or ")}`,
	);
}

function checkStatus(error: unknown, statuses: readonly GrpcStatus[]): void {
	const status = DynError.from(error).details["grpcStatus"];
	check(
		statuses.includes(status as GrpcStatus),
		`status ${nameOf(status)} (${DynError.from(error).rawMessage}); expected ${statuses.map(nameOf).join(" or ")}`,
	);
}
