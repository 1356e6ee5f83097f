// SPDX-License-Identifier: Apache-2.0
import { choice, type Expression, type Grammar, NOTHING, sequence } from "./expression.js";

/** The same grammar without ways that can never come to an end: a model must not be led into one. */
export function pruneGrammar({ rules, start }: Grammar): Grammar {
	const productive = new Set<string>();
	const entries = [...rules].reverse(); // rules mostly call later ones
	for (let grew = true; grew; ) {
		grew = false;
		for (const [name, expression] of entries) {
			if (productive.has(name) || !canEnd(expression, productive, rules)) continue;
			productive.add(name);
			grew = true;
		}
	}
	return {
		start: prune(start, productive, rules),
		rules: new Map(
			[...rules]
				.filter(([name]) => productive.has(name))
				.map(([name, expression]) => [name, prune(expression, productive, rules)]),
		),
	};
}

function canEnd(
	expression: Expression,
	productive: ReadonlySet<string>,
	rules: ReadonlyMap<string, Expression>,
): boolean {
	switch (expression.kind) {
		case "characters":
			return expression.ranges.length > 0;
		case "text":
			return true;
		case "sequence":
			return expression.items.every((item) => canEnd(item, productive, rules));
		case "choice":
			return expression.items.some((item) => canEnd(item, productive, rules));
		case "repeat":
			return expression.min === 0 || canEnd(expression.item, productive, rules);
		case "rule":
			return productive.has(expression.name) || !rules.has(expression.name); // whoever builds the network names it
	}
}

function prune(
	expression: Expression,
	productive: ReadonlySet<string>,
	rules: ReadonlyMap<string, Expression>,
): Expression {
	if (expression.kind === "rule") return canEnd(expression, productive, rules) ? expression : NOTHING;
	if (expression.kind === "characters" || expression.kind === "text") return expression;
	if (expression.kind === "repeat") {
		if (canEnd(expression.item, productive, rules))
			return { ...expression, item: prune(expression.item, productive, rules) };
		return expression.min === 0 ? sequence() : NOTHING;
	}
	if (expression.kind === "sequence") {
		const items = expression.items.map((item) => prune(item, productive, rules));
		return items.includes(NOTHING) ? NOTHING : sequence(...items);
	}
	const items = expression.items.map((item) => prune(item, productive, rules));
	const left = items.filter((item) => item !== NOTHING);
	return left.length === 0 ? NOTHING : choice(...left);
}
