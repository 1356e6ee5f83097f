// SPDX-License-Identifier: Apache-2.0
import type { RequestContextOptions } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { EngineOutput, GenerateRequestInit } from "@dyn/protocols";
import { afterEach, beforeEach } from "vitest";
import { createTrtllmHttpEngine, type TrtllmHttpEngineOptions } from "../../src/engines/http/index.js";
import { collect } from "./asking.js";
import { type HttpTestServer, startHttpServer } from "./http-server.js";
import { TOY } from "./toy-model.js";

/** For every test of a file: a server of its own, and at most one engine before it. */
export class HttpRig {
	server!: HttpTestServer;
	#engine: Engine | null = null;

	constructor() {
		beforeEach(async () => {
			this.server = await startHttpServer();
		});
		afterEach(async () => {
			await this.#engine?.close();
			this.#engine = null;
			await this.server.close();
		});
	}

	/** Since `start`. */
	get engine(): Engine {
		return this.#engine!;
	}

	start(options: Partial<TrtllmHttpEngineOptions> = {}): Promise<EngineInfo> {
		this.#engine = createTrtllmHttpEngine({
			endpoint: this.server.endpoint,
			contextLength: TOY.contextLength,
			vocabSize: TOY.vocabSize,
			eosTokenIds: [TOY.eosTokenId],
			startupDeadlineMs: 10_000,
			...options,
		});
		return this.#engine.start();
	}

	collect(init: GenerateRequestInit, options?: RequestContextOptions): Promise<EngineOutput[]> {
		return collect(this.engine, init, options);
	}
}
