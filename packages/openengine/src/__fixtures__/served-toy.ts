// SPDX-License-Identifier: Apache-2.0
import type { Engine } from "@dyn/engine";
import type { EngineOutput } from "@dyn/protocols";
import { afterEach } from "vitest";
import { createOpenEngineClient, type OpenEngineClient } from "../client/openengine-client.js";
import { createOpenEngineEngine, type OpenEngineEngineOptions } from "../engine/openengine-engine.js";
import type * as m from "../generated/messages.js";
import type { MessageInit } from "../message-init.js";
import { engineService } from "../server/engine-service.js";
import type { EngineServiceOptions } from "../server/engine-service-options.js";
import { createOpenEngineServer, type OpenEngineServer } from "../server/openengine-server.js";
import type { OpenEngineService } from "../server/service.js";
import { TOY_INFO, ToyEngine } from "./toy-engine.js";

const closers: (() => unknown)[] = [];
afterEach(async () => {
	for (const close of closers.splice(0).reverse()) await close();
});

/** A toy behind a server, with handlers replaced, and a client of it. */
export async function served(
	options: Partial<EngineServiceOptions> = {},
	override: (own: OpenEngineService) => Partial<OpenEngineService> = () => ({}),
): Promise<{
	readonly toy: ToyEngine;
	readonly server: OpenEngineServer;
	readonly client: OpenEngineClient;
	/** A started engine over it. */
	engine(more?: Partial<OpenEngineEngineOptions>): Promise<Engine>;
}> {
	const toy = new ToyEngine();
	const own = engineService(toy, { info: TOY_INFO, ...options });
	const server = await createOpenEngineServer({ service: { ...own, ...override(own) } });
	const client = await createOpenEngineClient({ endpoint: server.address, connections: 2 });
	closers.push(
		() => server.close(),
		() => client.close(),
		() => toy.close(),
	);
	const engine = async (more: Partial<OpenEngineEngineOptions> = {}) => {
		const created = createOpenEngineEngine({ endpoint: server.address, connections: 2, ...more });
		closers.push(() => created.close());
		await created.start();
		return created;
	};
	return { toy, server, client, engine };
}

export const request = (init: object = {}): MessageInit<m.GenerateRequest> => ({
	requestId: "r",
	model: "toy",
	tokenIds: { ids: [5, 6, 7] },
	...init,
});

export async function all(client: OpenEngineClient, init: object = {}, options = {}): Promise<m.GenerateResponse[]> {
	const responses: m.GenerateResponse[] = [];
	for await (const response of client.generate(request(init), options)) responses.push(response);
	return responses;
}

export async function outputsOf(iterable: AsyncIterable<EngineOutput>): Promise<EngineOutput[]> {
	const outputs: EngineOutput[] = [];
	for await (const output of iterable) outputs.push(output);
	return outputs;
}

