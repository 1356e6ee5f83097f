// SPDX-License-Identifier: Apache-2.0
import type { Engine } from "@dyn/engine";

/** Pause between looks at the engine, ms (Dynamo: DYN_TRTLLM_HEALTH_CHECK_INTERVAL, 2 s). */
const INTERVAL_MS = 2000;

/** Calls `onDeath` once, with the reason, when the engine reports that it is dead. Returns the way out. */
export function watchEngine(engine: Engine, onDeath: (reason: string) => void): () => void {
	const timer = setInterval(() => {
		const health = engine.health();
		if (health.status !== "dead") return;
		clearInterval(timer);
		onDeath(health.reason);
	}, INTERVAL_MS).unref();
	return () => clearInterval(timer);
}
