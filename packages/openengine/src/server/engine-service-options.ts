// SPDX-License-Identifier: Apache-2.0
import type { EngineInfo } from "@dyn/engine";
import type { EngineServerRole } from "./generate-request.js";

export interface EngineServiceOptions {
	/** What the engine's `start` returned. */
	readonly info: EngineInfo;
	/** Default "aggregated". */
	readonly role?: EngineServerRole | undefined;
	/** The model's name in requests. Default: the engine's own name for it. */
	readonly servedModelName?: string | undefined;
	/** Other names under which it is served. */
	readonly aliases?: readonly string[] | undefined;
	/** Default "dyn". */
	readonly engineName?: string | undefined;
	readonly engineVersion?: string | undefined;
	/** Default: random. */
	readonly instanceId?: string | undefined;
}

/** Every name that requests may use. */
export function namesOf({ info, servedModelName, aliases = [] }: EngineServiceOptions): readonly string[] {
	return [...new Set([servedModelName ?? info.model, info.model, ...aliases])];
}
