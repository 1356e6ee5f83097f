// SPDX-License-Identifier: Apache-2.0
import { homedir } from "node:os";
import { join } from "node:path";
import { type Logger, type Metrics, noMetrics, noTracer, silentLogger, type Tracer } from "@dyn/common";
import type { Runtime } from "@dyn/runtime";

export interface FrontendLimits {
	/** Largest request body. Default 45 MiB (Dynamo: DYN_HTTP_BODY_LIMIT_MB). */
	readonly bodyBytes: number;
	/** How long a streamed answer's headers wait for the first token, so that an early failure gets a real status. Default 10 s. */
	readonly headerHoldMs: number;
	/** Pause between comments that keep an idle stream alive. Default 15 s. */
	readonly keepAliveMs: number;
	/** How long a client may leave its buffer full before its request is cancelled. Default 60 s. */
	readonly slowClientMs: number;
	/** Time for a client to send headers and body. Default 60 s. */
	readonly requestTimeoutMs: number;
}

/** How requests outlive the worker that they run on. */
export interface MigrationOptions {
	/** How many further instances may take a request over. 0: a failure of its worker is the request's. Default 3 (Dynamo: --migration-limit, 0). */
	readonly limit: number;
	/** Silence before the first token after which a request leaves its worker for another one. Default 60 s: long prompts take long. */
	readonly firstTokenMs: number;
	/** The same between tokens, at most: a stream whose tokens came fast gets ten times its longest pause, at least 3 s, and as much again as this when a prompt or its turn is what it waits for. Default 10 s. */
	readonly stallMs: number;
}

export interface FrontendOptions {
	readonly runtime: Runtime;
	/** Default 127.0.0.1. */
	readonly host?: string;
	/** Default 8000; 0 = any free port. */
	readonly port?: number;
	/** When given, /v1 needs "Authorization: Bearer <one of these>". */
	readonly apiKeys?: readonly string[];
	/** Files served at "/", index.html first. */
	readonly staticDirectory?: string;
	/** Where files of models on other machines are kept. Default: `dyn/models-of-workers` in the user's cache folder. */
	readonly cacheDirectory?: string;
	readonly limits?: Partial<FrontendLimits>;
	readonly migration?: Partial<MigrationOptions>;
	readonly logger?: Logger;
	readonly metrics?: Metrics;
	/** Gets a span of each request. Default: none; the trace of a client passes through. */
	readonly tracer?: Tracer;
}

export interface ResolvedFrontendOptions
	extends Omit<Required<FrontendOptions>, "staticDirectory" | "limits" | "migration"> {
	readonly staticDirectory: string | null;
	readonly limits: FrontendLimits;
	readonly migration: MigrationOptions;
}

export function resolveFrontendOptions(options: FrontendOptions): ResolvedFrontendOptions {
	return {
		runtime: options.runtime,
		host: options.host ?? "127.0.0.1",
		port: options.port ?? 8000,
		apiKeys: options.apiKeys ?? [],
		staticDirectory: options.staticDirectory ?? null,
		cacheDirectory: options.cacheDirectory ?? join(homedir(), ".cache", "dyn", "models-of-workers"),
		logger: options.logger ?? silentLogger,
		metrics: options.metrics ?? noMetrics,
		tracer: options.tracer ?? noTracer,
		limits: {
			bodyBytes: 45 * 2 ** 20,
			headerHoldMs: 10_000,
			keepAliveMs: 15_000,
			slowClientMs: 60_000,
			requestTimeoutMs: 60_000,
			...options.limits,
		},
		migration: { limit: 3, firstTokenMs: 60_000, stallMs: 10_000, ...options.migration },
	};
}
