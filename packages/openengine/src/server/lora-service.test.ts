// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { LoraAdapter, LoraAdapters } from "@dyn/engine";
import { describe, expect, it } from "vitest";
import { loraService } from "./lora-service.js";

/** Adapters that load at once. */
function adaptersOf(...all: LoraAdapter[]): LoraAdapters {
	return {
		async load(name, path) {
			const known = all.find((each) => each.name === name);
			if (known) return known;
			const adapter = { name, path };
			all.push(adapter);
			return adapter;
		},
		async unload(name) {
			const index = all.findIndex((each) => each.name === name);
			if (index < 0) throw new DynError("NOT_FOUND", `no adapter ${name}`);
			all.splice(index, 1);
		},
		list: () => [...all],
	};
}

const call = {} as never;

describe("adapters over OpenEngine", () => {
	it("are listed with the numbers that clients gave them, and free ones for the rest", async () => {
		const service = loraService(() => adaptersOfEngine);
		const adaptersOfEngine = adaptersOf({ name: "from the start", path: "/s" });
		const adapter = { loraId: 1n, loraName: "a", sourcePath: "/a" };
		expect(await service.loadLora({ adapter }, call)).toEqual({ adapter, alreadyLoaded: false });
		expect(await service.listLoras({}, call)).toEqual({
			adapters: [{ loraId: 2n, loraName: "from the start", sourcePath: "/s" }, adapter],
		});
		expect(await service.loadLora({ adapter: { ...adapter, loraId: 9n } }, call)).toEqual({
			adapter,
			alreadyLoaded: true,
		});
		expect(await service.unloadLora({ loraName: "a" }, call)).toEqual({ adapter });
		expect((await service.listLoras({}, call)).adapters).toHaveLength(1);
	});

	it("are refused without a name or a path, and where there are none", async () => {
		const service = loraService(() => adaptersOf());
		for (const adapter of [undefined, { loraName: "a" }, { sourcePath: "/a" }])
			await expect(service.loadLora({ adapter } as never, call)).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
			});
		await expect(service.unloadLora({ loraName: "a" }, call)).rejects.toMatchObject({ code: "NOT_FOUND" });
		const without = loraService(() => undefined);
		await expect(without.listLoras({}, call)).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
	});
});
