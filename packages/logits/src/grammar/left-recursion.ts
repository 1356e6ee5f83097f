// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "./expression.js";

/** A rule that can call itself before it has read anything; null when there is none. */
export function findLeftRecursion(rules: ReadonlyMap<string, Expression>): string | null {
	const nullable = nullableRules(rules);
	const done = new Set<string>();
	for (const root of rules.keys()) {
		// Depth first by hand: a grammar may chain more rules than the stack holds frames.
		const path = new Set<string>();
		const pending: { readonly name: string; readonly leave: boolean }[] = [{ name: root, leave: false }];
		for (let next = pending.pop(); next; next = pending.pop()) {
			const { name, leave } = next;
			if (leave) {
				path.delete(name);
				done.add(name);
				continue;
			}
			if (path.has(name)) return name;
			if (done.has(name)) continue;
			path.add(name);
			pending.push({ name, leave: true });
			const expression = rules.get(name);
			if (expression)
				for (const called of firstCalls(expression, nullable)) pending.push({ name: called, leave: false });
		}
	}
	return null;
}

function nullableRules(rules: ReadonlyMap<string, Expression>): ReadonlySet<string> {
	const nullable = new Set<string>();
	const entries = [...rules].reverse(); // rules mostly call later ones
	for (let grew = true; grew; ) {
		grew = false;
		for (const [name, expression] of entries) {
			if (nullable.has(name) || !isNullable(expression, nullable)) continue;
			nullable.add(name);
			grew = true;
		}
	}
	return nullable;
}

function isNullable(expression: Expression, nullable: ReadonlySet<string>): boolean {
	switch (expression.kind) {
		case "characters":
			return false;
		case "text":
			return expression.text === "";
		case "sequence":
			return expression.items.every((item) => isNullable(item, nullable));
		case "choice":
			return expression.items.some((item) => isNullable(item, nullable));
		case "repeat":
			return expression.min === 0 || isNullable(expression.item, nullable);
		case "rule":
			return nullable.has(expression.name);
	}
}

/** Rules that an expression may call before it has read anything. */
function* firstCalls(expression: Expression, nullable: ReadonlySet<string>): Generator<string> {
	switch (expression.kind) {
		case "sequence":
			for (const item of expression.items) {
				yield* firstCalls(item, nullable);
				if (!isNullable(item, nullable)) return;
			}
			return;
		case "choice":
			for (const item of expression.items) yield* firstCalls(item, nullable);
			return;
		case "repeat":
			if (expression.max > 0) yield* firstCalls(expression.item, nullable);
			return;
		case "rule":
			yield expression.name;
	}
}
