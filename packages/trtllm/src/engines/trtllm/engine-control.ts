// SPDX-License-Identifier: Apache-2.0
import type { Engine, EngineInfo } from "@dyn/engine";

/** An engine that answers, and what it said of itself. */
export interface EngineLink {
	readonly engine: Engine;
	readonly info: EngineInfo;
}

/** The way to an engine in another process, whichever life of it is on. */
export interface EngineControl {
	/** Rejects while the engine is not there, or not ready. */
	probe(signal: AbortSignal): Promise<void>;
	/** A started adapter to the life that is on. */
	connect(signal: AbortSignal): Promise<EngineLink>;
	close(): void;
}
