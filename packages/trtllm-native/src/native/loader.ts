// SPDX-License-Identifier: Apache-2.0
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { DynError, type Logger, silentLogger } from "@dyn/common";
import type { NativeBinding } from "./native-binding.js";

export interface LoadOptions {
	/** A binary to load instead of any other. */
	readonly nativePath?: string | undefined;
	readonly logger?: Logger;
}

/** The command that builds the binary where the package is installed. */
export const BUILD_COMMAND = "npx dyn-trtllm-native-build";

/** A loaded native engine and where it was found: a path, or the name of a platform package. */
export interface LoadedBinding {
	readonly binding: NativeBinding;
	readonly from: string;
}

/** Loads the native engine; see {@link findNativeBinding}. */
export function loadNativeBinding(options: LoadOptions = {}): NativeBinding {
	return findNativeBinding(options).binding;
}

/**
 * Loads the native engine. Order: `nativePath` and nothing else if given; `build/Release` of this package, which
 * {@link BUILD_COMMAND} makes; the platform package `@dyn/trtllm-native-<platform>-<arch>`. Each attempt is logged at debug.
 * @throws DynError NATIVE_UNAVAILABLE listing what was tried and the command that builds the binary.
 */
export function findNativeBinding({ nativePath, logger = silentLogger }: LoadOptions = {}): LoadedBinding {
	const require = createRequire(import.meta.url);
	const platformPackage = `@dyn/trtllm-native-${process.platform}-${process.arch}`;
	const candidates = nativePath
		? [nativePath]
		: [
				fileURLToPath(new URL("../build/Release/dyn_native.node", import.meta.url)), // from dist/
				fileURLToPath(new URL("../../build/Release/dyn_native.node", import.meta.url)), // from src/native/
				platformPackage,
			];
	const tried: string[] = [];
	for (const candidate of candidates) {
		try {
			const binding: NativeBinding = require(candidate);
			logger.debug("native engine loaded", { from: candidate, isas: binding.isas });
			return { binding, from: candidate };
		} catch (error) {
			const reason = (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!;
			logger.debug("native engine not loaded", { from: candidate, reason });
			tried.push(reason.includes(candidate) ? reason : `${candidate}: ${reason}`);
		}
	}
	throw new DynError(
		"NATIVE_UNAVAILABLE",
		`the native engine could not be loaded; build it with "${BUILD_COMMAND}" (needs g++)${nativePath ? "" : `, or install ${platformPackage}`}. Tried: ${tried.join("; ")}`,
		{ details: { tried } },
	);
}
