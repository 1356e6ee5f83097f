// SPDX-License-Identifier: Apache-2.0
import { type EngineArgs, isPlain } from "../../engine-args/merge-engine-args.js";
import type { EngineProtocol, Environment, ServeOptions } from "../serve-options.js";

export interface Finding {
	/** Stable name, kebab-case. */
	readonly code: string;
	/** "error" refuses the start; "warning" is likely a mistake; "advice" is worth knowing. */
	readonly severity: "error" | "warning" | "advice";
	readonly what: string;
	/** What to do. */
	readonly fix: string;
}

/** What is known of the installed engine and of the model; null or absent where it is not. */
export interface EngineFacts {
	readonly version?: string | null | undefined;
	/** Whether it has an OpenEngine server. */
	readonly openEngine?: boolean | null | undefined;
	/** gRPC protocols whose Python bindings are installed. */
	readonly grpcBindings?: readonly EngineProtocol[] | undefined;
	/** Names of the files in the model's folder, where it is one. */
	readonly modelFiles?: readonly string[] | undefined;
}

/** All that a check looks at. */
export interface ServeSetup {
	readonly options: ServeOptions;
	/** The engine's arguments, merged. */
	readonly args: EngineArgs;
	/** The environment that the engine will have. */
	readonly env: Environment;
	readonly engine: EngineFacts;
}

/** One rule: the finding, or null when all is well. */
export type Check = (setup: ServeSetup) => Finding | null;

type MakeFinding = (code: string, what: string, fix: string) => Finding;

const finding =
	(severity: Finding["severity"]): MakeFinding =>
	(code, what, fix) => ({ code, severity, what, fix });

export const error: MakeFinding = finding("error");
export const warning: MakeFinding = finding("warning");
export const advice: MakeFinding = finding("advice");

/** The value at a dotted path of engine arguments; undefined when a part of the path is absent. */
export function valueAt(args: EngineArgs, path: string): unknown {
	let value: unknown = args;
	for (const key of path.split(".")) value = isPlain(value) ? value[key] : undefined;
	return value;
}

/** The number at a dotted path, or the fallback when there is none. */
export function numberAt(args: EngineArgs, path: string, fallback: number): number {
	const value = valueAt(args, path);
	return typeof value === "number" ? value : fallback;
}
