// SPDX-License-Identifier: Apache-2.0
import type { Process } from "./deployment.js";

/** Polls until `condition` holds, for state that another process offers no event for. Rejects after `limitMs`. */
export async function eventually(
	what: string,
	limitMs: number,
	condition: () => Promise<boolean>,
): Promise<void> {
	const began = performance.now();
	while (!(await condition())) {
		if (performance.now() - began > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

/** Sum of the samples of a metric whose labels, as written, contain `label`. 0 when there are none. */
export async function metric({ address }: Process, name: string, label = ""): Promise<number> {
	const text = await (await fetch(`${address}/metrics`)).text();
	return text
		.split("\n")
		.filter((line) => (line.startsWith(`${name}{`) || line.startsWith(`${name} `)) && line.includes(label))
		.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** Names that a frontend lists. */
export async function modelsOf({ address }: Process): Promise<string[]> {
	const { data } = (await (await fetch(`${address}/v1/models`)).json()) as { data: { id: string }[] };
	return data.map(({ id }) => id).sort();
}

/** Resolves when a frontend can serve all of these models. */
export function listed(frontend: Process, ...names: readonly string[]): Promise<void> {
	return eventually(`${frontend.address} lists ${names}`, 30_000, async () => {
		const models = await modelsOf(frontend);
		return names.every((name) => models.includes(name));
	});
}
