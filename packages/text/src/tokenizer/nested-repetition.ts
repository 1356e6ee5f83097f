// SPDX-License-Identifier: Apache-2.0

/**
 * Whether a regular expression has an unbounded repetition around an unbounded repetition, as in `(a+)+`: the shape
 * whose backtracking grows exponentially. Polynomial shapes (`a*a*a*b`) are not noticed.
 */
export function hasNestedRepetition(regex: string): boolean {
	/** For each open group, whether it repeats inside without bound. */
	const groups: boolean[] = [false];
	/** Whether what the next quantifier applies to repeats inside. */
	let atom = false;
	for (let at = 0; at < regex.length; at++) {
		const char = regex[at]!;
		if (char === "\\") {
			at++;
			atom = false;
		} else if (char === "[") {
			at = endOfClass(regex, at);
			atom = false;
		} else if (char === "(") {
			groups.push(false);
			atom = false;
		} else if (char === ")") {
			atom = groups.length > 1 && groups.pop()!;
			if (atom) groups[groups.length - 1] = true;
		} else if (isUnbounded(regex, at)) {
			if (atom) return true;
			groups[groups.length - 1] = true;
		} else {
			atom = false;
		}
	}
	return false;
}

function isUnbounded(regex: string, at: number): boolean {
	if (regex[at] === "*" || regex[at] === "+") return true;
	return regex[at] === "{" && /^\{\d*,\}/.test(regex.slice(at, at + 24));
}

/** Index of the `]` that closes the class opened at `at`; classes nest and may begin with `]`. */
function endOfClass(regex: string, at: number): number {
	let depth = 0;
	for (let i = at; i < regex.length; i++) {
		if (regex[i] === "\\") i++;
		else if (regex[i] === "[") depth++;
		else if (regex[i] === "]" && !/^\[\^?$/.test(regex.slice(at, i)) && --depth === 0) return i;
	}
	return regex.length;
}
