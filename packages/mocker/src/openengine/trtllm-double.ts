// SPDX-License-Identifier: Apache-2.0
import type { Engine, EngineInfo } from "@dyn/engine";
import {
	createOpenEngineServer,
	type MessageInit,
	type messages,
	type OpenEngineServer,
} from "@dyn/openengine";
import { NO_QUIRKS, TRTLLM_QUIRKS, type TrtllmQuirks } from "./trtllm-quirks.js";
import { trtllmService } from "./trtllm-service.js";

export interface TrtllmDoubleOptions {
	/** Started here, and closed with the double. */
	readonly engine: Engine;
	/** "trtllm" (default) has every quirk, "strict" none. */
	readonly personality?: "trtllm" | "strict" | undefined;
	/** Changes single quirks of the personality. */
	readonly quirks?: Partial<TrtllmQuirks> | undefined;
	/** What a server without `unspecifiedRole` says and enforces. Default "aggregated". */
	readonly role?: "aggregated" | "prefill" | "decode" | undefined;
	readonly servedModelName?: string | undefined;
	/** Default 127.0.0.1, any free port. */
	readonly host?: string | undefined;
	readonly port?: number | undefined;
	/** Default "1.4.0". */
	readonly version?: string | undefined;
	/** What GetKvEventSources answers, as later versions do. */
	readonly kvEventSources?: readonly MessageInit<messages.KvEventSource>[] | undefined;
}

/** A server that stands in for TensorRT-LLM's. */
export interface TrtllmDouble {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly server: OpenEngineServer;
	/** `host:port`. */
	readonly address: string;
	close(): Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}

/**
 * Serves an engine over OpenEngine as `trtllm-serve --grpc --grpc-protocol openengine` would.
 * @throws DynError UNAVAILABLE when the address cannot be listened on
 */
export async function createTrtllmDouble(options: TrtllmDoubleOptions): Promise<TrtllmDouble> {
	const { engine, personality = "trtllm", role = "aggregated", version = "1.4.0" } = options;
	const quirks = { ...(personality === "trtllm" ? TRTLLM_QUIRKS : NO_QUIRKS), ...options.quirks };
	const info = await engine.start();
	const { servedModelName, kvEventSources, host, port } = options;
	const service = trtllmService(engine, { info, quirks, role, version, servedModelName, kvEventSources });
	const server = await createOpenEngineServer({ service, host, port }).catch(async (error) => {
		await engine.close();
		throw error;
	});
	const close = async () => {
		await server.close();
		await engine.close();
	};
	return { engine, info, server, address: server.address, close, [Symbol.asyncDispose]: close };
}
