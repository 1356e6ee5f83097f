// SPDX-License-Identifier: Apache-2.0
import { strftime } from "./strftime.js";

/** The part of npm `@huggingface/jinja` that is used; its own declarations do not resolve under NodeNext. */
interface Jinja {
	tokenize(source: string, options: { trim_blocks: boolean; lstrip_blocks: boolean }): unknown;
	parse(tokens: unknown): Program;
	readonly Environment: new () => Environment;
	readonly Interpreter: new (environment: Environment) => Interpreter;
}
interface Program {
	readonly type: string;
	/** Of a `For`: what it loops over. */
	readonly iterable?: Program & { readonly lhs?: Program };
}
interface Environment {
	set(name: string, value: unknown): void;
}
interface Interpreter {
	run(program: Program): { readonly value: unknown };
	/** Called for every node. */
	evaluate(node: Program | undefined, environment: Environment): { readonly value: unknown };
}

/**
 * Nodes that one rendering may evaluate, plus entries it may loop over: about half a second; a chat of a thousand turns
 * needs 10^5.
 */
const MAX_STEPS = 500_000;
/** Entries of a list or mapping that a template may make. */
const MAX_ENTRIES = 1_000_000;
/** Characters of a string that a template may make. */
const MAX_CHARACTERS = 64_000_000;
/** As in jinja2's sandbox. */
const MAX_RANGE = 100_000;

/** A parsed template that renders within limits, whatever it says. */
export class TemplateProgram {
	readonly #jinja: Jinja;
	readonly #program: Program;

	private constructor(jinja: Jinja, source: string) {
		this.#jinja = jinja;
		// As transformers sets up jinja2.
		this.#program = jinja.parse(jinja.tokenize(source, { trim_blocks: true, lstrip_blocks: true }));
	}

	/** @throws Error with the parser's message. */
	static async parse(source: string): Promise<TemplateProgram> {
		const jinja: Jinja = await import("@huggingface/jinja");
		return new TemplateProgram(jinja, source);
	}

	/**
	 * @param maxSteps fewer steps than the usual limit, for a conversation that needs few
	 * @throws Error with the template's own message, or one that names the limit it ran into.
	 */
	render(variables: Readonly<Record<string, unknown>>, maxSteps: number = MAX_STEPS): string {
		const environment = new this.#jinja.Environment();
		for (const [name, value] of Object.entries({ ...globals(), ...variables })) environment.set(name, value);
		return String(limitedInterpreter(this.#jinja, environment, maxSteps).run(this.#program).value);
	}
}

function globals(): Record<string, unknown> {
	return {
		true: true,
		True: true,
		false: false,
		False: false,
		none: null,
		None: null,
		range,
		strftime_now: (format: string) => strftime(new Date(), String(format)),
		raise_exception: (message: unknown) => {
			throw new Error(String(message));
		},
	};
}

function range(first: number, second?: number, step = 1): number[] {
	const [start, stop] = second === undefined ? [0, first] : [first, second];
	const length = Math.max(0, Math.ceil((stop - start) / step));
	if (!(length <= MAX_RANGE)) throw new Error(`range() has more than ${MAX_RANGE} entries`);
	return Array.from({ length }, (_, index) => start + index * step);
}

/** Counts what is evaluated and looped over: Jinja has no endless loop, but loops within loops come close. */
function limitedInterpreter(jinja: Jinja, environment: Environment, maxSteps: number): Interpreter {
	let steps = 0;
	const loopedOver = new Set<Program>();
	class LimitedInterpreter extends jinja.Interpreter {
		override evaluate(node: Program | undefined, scope: Environment): { readonly value: unknown } {
			if (node?.type === "For" && node.iterable) loopedOver.add(node.iterable.lhs ?? node.iterable);
			const result = super.evaluate(node, scope);
			const entries = countEntries(result.value);
			if (entries > MAX_ENTRIES || (typeof result.value === "string" && result.value.length > MAX_CHARACTERS))
				throw new Error("the template makes a value that is too large");
			steps += node && loopedOver.has(node) ? 1 + entries : 1;
			if (steps > maxSteps) throw new Error(`the template takes more than ${maxSteps} steps`);
			return result;
		}
	}
	return new LimitedInterpreter(environment);
}

function countEntries(value: unknown): number {
	if (Array.isArray(value)) return value.length;
	return value instanceof Map ? value.size : 0;
}
