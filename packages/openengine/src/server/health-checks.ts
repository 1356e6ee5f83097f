// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import type { Engine, EngineHealth } from "@dyn/engine";
import { createGenerateRequest } from "@dyn/protocols";
import * as m from "../generated/messages.js";
import type { MessageInit } from "../message-init.js";
import { type EngineServiceOptions, namesOf } from "./engine-service-options.js";

/** Time for the one token of an inference probe, ms. */
const PROBE_MS = 30_000;

type Check = MessageInit<m.HealthCheck> & { readonly state: m.HealthState };

const { READY, DEGRADED, NOT_READY, STARTING } = m.HealthState;
/** Worst first. */
const STATES = [NOT_READY, STARTING, DEGRADED, READY] as const;

/** Answers Health; probes that come while one runs share it. */
export class HealthChecks {
	readonly #engine: Engine;
	readonly #options: EngineServiceOptions;
	#probe: Promise<Check> | null = null;

	constructor(engine: Engine, options: EngineServiceOptions) {
		this.#engine = engine;
		this.#options = options;
	}

	async check(request: m.HealthRequest): Promise<MessageInit<m.HealthResponse>> {
		const { role = "aggregated" } = this.#options;
		const checks: Check[] = [{ name: "grpc", state: READY }, schedulerCheck(this.#engine.health())];
		if (request.model !== "")
			checks.push(
				namesOf(this.#options).includes(request.model)
					? { name: "model", state: READY }
					: { name: "model", state: NOT_READY, message: "no model of that name is served" },
			);
		if (request.role !== m.EngineRole.UNSPECIFIED)
			checks.push(
				m.EngineRole[role.toUpperCase() as keyof typeof m.EngineRole] === request.role
					? { name: "role", state: READY }
					: { name: "role", state: NOT_READY, message: `this is a ${role} engine` },
			);
		if (request.includeInferenceProbe) checks.push(await this.#inference());
		return { state: STATES.find((state) => checks.some((each) => each.state === state))!, checks };
	}

	#inference(): Promise<Check> {
		this.#probe ??= this.#generateOne().finally(() => {
			this.#probe = null;
		});
		return this.#probe;
	}

	async #generateOne(): Promise<Check> {
		const name = "inference_probe";
		const { info, role = "aggregated" } = this.#options;
		if (role === "decode")
			return { name, state: READY, message: "a decode engine cannot generate without a session; not probed" };
		const signal = AbortSignal.timeout(PROBE_MS);
		const request = createGenerateRequest({
			model: info.model,
			tokenIds: [1],
			stop: { maxTokens: 1 },
			healthCheck: true,
			disaggregation: role === "prefill" ? { role } : null,
		});
		try {
			for await (const { finishReason } of this.#engine.generate(request, createRequestContext({ signal })))
				if (finishReason === "cancelled")
					return { name, state: DEGRADED, message: `no token in ${PROBE_MS} ms` };
			return { name, state: READY };
		} catch (error) {
			return { name, state: DEGRADED, message: DynError.from(error).message };
		}
	}
}

function schedulerCheck(health: EngineHealth): Check {
	const name = "scheduler";
	switch (health.status) {
		case "healthy":
			return { name, state: READY };
		case "stalled":
			return { name, state: DEGRADED, message: `no step has ended for ${Math.round(health.sinceMs)} ms` };
		case "restarting":
			return { name, state: STARTING, message: health.reason };
		case "dead":
			return { name, state: NOT_READY, message: health.reason };
	}
}
