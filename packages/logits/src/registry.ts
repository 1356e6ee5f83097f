// SPDX-License-Identifier: Apache-2.0
import type { NamedProcessor } from "./apply-processors.js";
import type { LogitsProcessorFactory } from "./logits-processor.js";
import { LogitsProcessorError } from "./logits-processor-error.js";

export interface LogitsProcessorRegistry {
	readonly names: readonly string[];
	/**
	 * Fresh instances for one choice of one request, in the order asked for.
	 * @throws LogitsProcessorError for an unknown name, or when a factory refuses its arguments.
	 */
	create(requests: readonly { readonly name: string; readonly args: unknown }[]): NamedProcessor[];
}

export function createLogitsProcessorRegistry(
	factories: Readonly<Record<string, LogitsProcessorFactory>>,
): LogitsProcessorRegistry {
	const known = new Map(Object.entries(factories));
	const names = [...known.keys()];
	return {
		names,
		create: (requests) =>
			requests.map(({ name, args }) => {
				const factory = known.get(name);
				if (!factory)
					throw new LogitsProcessorError(
						name,
						`no such processor; registered: ${names.join(", ") || "none"}`,
					);
				try {
					return { name, processor: factory(args) };
				} catch (error) {
					throw LogitsProcessorError.from(name, error);
				}
			}),
	};
}
