// SPDX-License-Identifier: Apache-2.0
import { basename } from "node:path";
import { invalidArgument, noMetrics, silentLogger } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { CreateHandoff } from "../handoff/handoff.js";
import { KvHandoff } from "../handoff/kv-handoff.js";
import type { OpenEngine } from "./core-options.js";
import { EngineCore } from "./engine-core.js";
import { openModel } from "./open-model.js";
import type { EmbeddedEngineOptions } from "./options.js";
import { RankedEngine } from "./ranked-engine.js";

/** Each has buffers and threads of its own. */
const MAX_RANKS = 64;

/**
 * The embedded engine: TypeScript plans every step, a backend computes it. Load it with `start`.
 * @throws DynError INVALID_ARGUMENT for a bad number of ranks
 */
export function createEmbeddedEngine(options: EmbeddedEngineOptions): Engine {
	const { dpSize = 1 } = options;
	if (!Number.isSafeInteger(dpSize) || dpSize < 1 || dpSize > MAX_RANKS)
		throw invalidArgument("dpSize", `dpSize must be 1 to ${MAX_RANKS} ranks, got ${dpSize}`);
	if (dpSize === 1) return embeddedEngine(options, async () => (await openModel(options))[0]!);
	if (options.dpRank !== undefined)
		throw invalidArgument("dpRank", "dpRank is for an engine that is one rank; leave it out with a dpSize");
	let opening: Promise<readonly OpenEngine[]> | null = null;
	const rank = (dpRank: number) =>
		embeddedEngine({ ...options, dpRank }, async () => {
			opening ??= openModel(options);
			return (await opening)[dpRank]!;
		});
	return new RankedEngine(Array.from({ length: dpSize }, (_, dpRank) => rank(dpRank)));
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
