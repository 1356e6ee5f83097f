// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { openModelStore } from "../options/assemble.js";
import type { Values } from "../options/values.js";
import { terminalLogger } from "../terminal/terminal.js";

/** model pull|list|path|remove|quantize */
export async function model(values: Values, [action, name, ...rest]: readonly string[]): Promise<number> {
	const logger = terminalLogger(values, "warn");
	const store = openModelStore(values, logger);
	const need = (): string => {
		if (name !== undefined && rest.length === 0) return name;
		throw new DynError(
			"INVALID_ARGUMENT",
			`model ${action} takes one model: dyn-worker model ${action} smollm2-135m-instruct`,
		);
	};
	switch (action) {
		case "pull": {
			const stop = new AbortController();
			process.once("SIGINT", () =>
				stop.abort(new DynError("CANCELLED", "stopped; run the same command again to go on")),
			);
			const pulled = await store.resolve(need(), { pull: true, signal: stop.signal });
			process.stdout.write(`${pulled.path}\n`);
			return 0;
		}
		case "list":
			for (const { id, bytes, path } of await store.list())
				process.stdout.write(`${id}  ${(bytes / 1e6).toFixed(1)} MB  ${path}\n`);
			return 0;
		case "path":
			process.stdout.write(`${(await store.resolve(need())).path}\n`);
			return 0;
		case "remove":
			await store.remove(need());
			process.stdout.write(`removed ${name}\n`);
			return 0;
		case "quantize": {
			const { quantize } = await import("./quantize.js");
			const { path } = await store.resolve(need(), { pull: true });
			return quantize(values, need(), path, logger);
		}
		default:
			throw new DynError(
				"INVALID_ARGUMENT",
				`model needs one of pull, list, path, remove, quantize${action ? `, not ${action}` : ""}`,
			);
	}
}
