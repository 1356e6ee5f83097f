// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { LoraAdapter, LoraAdapters } from "@dyn/engine";
import type * as m from "../generated/messages.js";
import type { OpenEngineService } from "./service.js";

/**
 * OpenEngine's handlers for adapters. Engines of ours know them by name: the number that a client gives one is kept here
 * for it to see again, and one that was loaded otherwise gets the next free number.
 * @param adapters of the engine now; undefined when it takes none: then UNIMPLEMENTED
 */
export function loraService(
	adapters: () => LoraAdapters | undefined,
): Pick<OpenEngineService, "loadLora" | "unloadLora" | "listLoras"> {
	const numbers = new Map<string, bigint>();

	function loaded(): LoraAdapters {
		const all = adapters();
		if (all) return all;
		throw new DynError("UNIMPLEMENTED", "this engine loads no LoRA adapters");
	}

	function toMessage({ name, path }: LoraAdapter): m.LoraAdapter {
		let number = numbers.get(name);
		if (number === undefined) {
			const taken = new Set(numbers.values());
			for (number = 1n; taken.has(number); number++);
			numbers.set(name, number);
		}
		return { loraId: number, loraName: name, sourcePath: path };
	}

	return {
		async loadLora({ adapter }) {
			const all = loaded();
			const { loraId, loraName = "", sourcePath = "" } = adapter ?? {};
			if (loraName === "") throw invalidArgument("adapter.lora_name", "the adapter has no lora_name");
			if (sourcePath === "") throw invalidArgument("adapter.source_path", "the adapter has no source_path");
			const alreadyLoaded = all.list().some(({ name }) => name === loraName);
			const own = await all.load(loraName, sourcePath);
			if (!alreadyLoaded && loraId) numbers.set(loraName, loraId);
			return { adapter: toMessage(own), alreadyLoaded };
		},
		async unloadLora({ loraName }) {
			const all = loaded();
			const own = all.list().find(({ name }) => name === loraName);
			const adapter = own && toMessage(own);
			await all.unload(loraName);
			numbers.delete(loraName);
			return { adapter };
		},
		async listLoras() {
			return { adapters: loaded().list().map(toMessage) };
		},
	};
}
