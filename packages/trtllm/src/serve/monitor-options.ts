// SPDX-License-Identifier: Apache-2.0
import type { Environment } from "./serve-options.js";

export interface MonitorOptions {
	/** Pause between two looks at the engine's health, ms. Default 2000. */
	readonly intervalMs: number;
	/** Time that a sick engine gets to end before it is killed, ms. Default 90 000. */
	readonly shutdownTimeoutMs: number;
}

/**
 * Dynamo's variables of the engine monitor, in seconds: a negative number counts as 0, what is no number as the default.
 */
export function monitorOptions(environment: Environment): MonitorOptions {
	return {
		intervalMs: seconds(environment["DYN_TRTLLM_HEALTH_CHECK_INTERVAL"], 2) * 1000,
		shutdownTimeoutMs: seconds(environment["DYN_TRTLLM_HEALTH_SHUTDOWN_TIMEOUT"], 90) * 1000,
	};
}

function seconds(text: string | undefined, fallback: number): number {
	const value = text === undefined || text.trim() === "" ? Number.NaN : Number(text);
	return Number.isFinite(value) ? Math.max(0, value) : fallback;
}
