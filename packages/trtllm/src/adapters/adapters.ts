// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { ModelCard } from "@dyn/protocols";

/**
 * Loads the adapters that a worker is to serve; returns their names.
 * @throws DynError of the engine; UNIMPLEMENTED when it has none; INVALID_ARGUMENT when one has the model's name
 */
export async function loadAdapters(
	engine: Engine,
	loras: Readonly<Record<string, string>>,
	modelName: string,
): Promise<readonly string[]> {
	const all = Object.entries(loras);
	for (const [name, path] of all) {
		if (!engine.lora)
			throw new DynError("UNIMPLEMENTED", `the engine cannot load the adapter ${name}: it has no LoRA`);
		if (name === modelName)
			throw invalidArgument("lora", `the adapter ${name} has the name of the model; choose another one`);
		await engine.lora.load(name, path);
	}
	return all.map(([name]) => name);
}

/** The card of the model with an adapter: a model of its own to clients. */
export function adapterCard(card: ModelCard, lora: string): ModelCard {
	// Requests for embeddings name no adapter.
	const endpointTypes = card.endpointTypes.filter((type) => type !== "embeddings");
	return { ...card, name: lora, lora, endpointTypes };
}
