// SPDX-License-Identifier: Apache-2.0
import type { Engine, EngineHealth } from "@dyn/engine";

/** Pause between looks at the engine, ms: what it knows of itself costs nothing to ask, and traffic must turn away at once. */
const INTERVAL_MS = 250;

export interface EngineWatcher {
	/** Called at every look. */
	onLook(health: EngineHealth): void;
	/** Called once, last, with the reason for which the engine is dead. */
	onDeath(reason: string): void;
}

/** Looks at an engine's health until it is dead. Returns the way out. */
export function watchEngine(engine: Engine, { onLook, onDeath }: EngineWatcher): () => void {
	const timer = setInterval(() => {
		const health = engine.health();
		onLook(health);
		if (health.status !== "dead") return;
		clearInterval(timer);
		onDeath(health.reason);
	}, INTERVAL_MS).unref();
	return () => clearInterval(timer);
}
