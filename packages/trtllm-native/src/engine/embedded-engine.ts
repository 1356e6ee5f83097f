// SPDX-License-Identifier: Apache-2.0
import { basename } from "node:path";
import { noMetrics, silentLogger } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { CreateHandoff } from "../handoff/handoff.js";
import { KvHandoff } from "../handoff/kv-handoff.js";
import type { OpenEngine } from "./core-options.js";
import { EngineCore } from "./engine-core.js";
import { openModel } from "./open-model.js";
import type { EmbeddedEngineOptions } from "./options.js";

/** The embedded engine: TypeScript plans every step, a backend computes it. Load it with `start`. */
export function createEmbeddedEngine(options: EmbeddedEngineOptions): Engine {
	return embeddedEngine(options, openModel);
}

/** @internal Tests pass a backend of their own through `open`. */
export function embeddedEngine(
	options: EmbeddedEngineOptions,
	open: (options: EmbeddedEngineOptions) => Promise<OpenEngine>,
): EngineCore {
	const { modelPath, modelName = basename(modelPath), kvTransfer: _, ...core } = options;
	return new EngineCore({ ...core, modelName, createHandoff: handoffOf(options) }, () => open(options));
}

function handoffOf(options: EmbeddedEngineOptions): CreateHandoff | undefined {
	const { kvTransfer: agent, kvTransferDeadlineMs: deadlineMs = 30_000 } = options;
	if (!agent) return undefined;
	const { dpRank = 0, metrics = noMetrics, logger = silentLogger } = options;
	return ({ pool, backend, kvBlockSize: blockSize }) =>
		new KvHandoff({ agent, pool, backend, blockSize, dpRank, deadlineMs, metrics, logger });
}
