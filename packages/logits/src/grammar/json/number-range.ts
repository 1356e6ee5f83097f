// SPDX-License-Identifier: Apache-2.0
import {
	characters,
	choice,
	EMPTY,
	type Expression,
	NOTHING,
	repeat,
	sequence,
	text,
} from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import { DIGIT } from "./json-value.js";

export interface NumberBounds {
	readonly low: number | null;
	readonly high: number | null;
	readonly lowExcluded: boolean;
	readonly highExcluded: boolean;
	readonly integer: boolean;
}

/** Digits that a double holds whatever they are. */
const EXACT_DIGITS = 15;
/** Where a side is open, and what bounds beyond it are taken for. */
const LARGEST_INTEGER = 10 ** EXACT_DIGITS - 1;
const LARGEST_NUMBER = 10 ** 9 - 1;
/** Digits after the point, beyond those of the bounds. */
const EXTRA_DIGITS = 3;

/** Decimal spelling of a bound that is not negative. */
interface Decimal {
	readonly whole: number;
	/** After the point, without zeros at the end. */
	readonly fraction: string;
}

/**
 * Numbers between two bounds, spelled without an exponent, digit by digit: no number is near enough to a bound to be rounded over it.
 * @throws GrammarError when a bound has more digits than a double holds.
 */
export function numberBetween(bounds: NumberBounds): Expression {
	const largest = bounds.integer ? LARGEST_INTEGER : LARGEST_NUMBER;
	let { low, high, lowExcluded, highExcluded } = bounds;
	if ((low !== null && low > largest) || (high !== null && high < -largest))
		throw new GrammarError(`numbers beyond ${largest} cannot be bounded`);
	if (low === null || low < -largest) [low, lowExcluded] = [-largest, false];
	if (high === null || high > largest) [high, highExcluded] = [largest, false];
	if (bounds.integer) {
		const floor = Math.floor(high);
		const ceil = Math.ceil(low);
		high = highExcluded && floor === high ? floor - 1 : floor;
		low = lowExcluded && ceil === low ? ceil + 1 : ceil;
		lowExcluded = false;
		highExcluded = false;
	}
	const ways: Expression[] = [];
	if (low < 0) {
		const most = decimal(-low);
		// Zero has no sign.
		const least = high < 0 ? decimal(-high) : { whole: 0, fraction: "" };
		ways.push(
			sequence(
				text("-"),
				magnitude(least, most, high < 0 ? highExcluded : true, lowExcluded, bounds.integer),
			),
		);
	}
	if (high >= 0)
		ways.push(
			magnitude(
				decimal(Math.max(low, 0)),
				decimal(high),
				low >= 0 && lowExcluded,
				highExcluded,
				bounds.integer,
			),
		);
	return choice(...ways);
}

function decimal(value: number): Decimal {
	const spelled = String(value);
	const [whole, fraction = ""] = spelled.split(".");
	if (spelled.includes("e") || whole!.length + fraction.length > EXACT_DIGITS)
		throw new GrammarError(`the bound ${spelled} has more digits than can be honoured (${EXACT_DIGITS})`);
	return { whole: Number(whole), fraction };
}

function magnitude(
	low: Decimal,
	high: Decimal,
	lowExcluded: boolean,
	highExcluded: boolean,
	integer: boolean,
): Expression {
	if (low.whole > high.whole) return NOTHING;
	if (integer) return wholeBetween(low.whole + (lowExcluded ? 1 : 0), high.whole);
	const wanted = Math.max(low.fraction.length, high.fraction.length) + EXTRA_DIGITS;
	const digits = Math.min(wanted, EXACT_DIGITS - String(high.whole).length);
	const fraction = (from: string | null, to: string | null) =>
		fractionBetween({ lowExcluded, highExcluded }, from, to, digits);
	if (low.whole === high.whole)
		return sequence(text(String(low.whole)), fraction(low.fraction, high.fraction));
	return choice(
		sequence(text(String(low.whole)), fraction(low.fraction, null)),
		sequence(wholeBetween(low.whole + 1, high.whole - 1), fraction(null, null)),
		sequence(text(String(high.whole)), fraction(null, high.fraction)),
	);
}

/** Whole numbers from `low` to `high`, neither negative. */
function wholeBetween(low: number, high: number): Expression {
	const ways: Expression[] = [];
	for (let from = low; from <= high; ) {
		const length = String(from).length;
		const to = Math.min(high, 10 ** length - 1);
		ways.push(sameLength(String(from), String(to)));
		from = to + 1;
	}
	return choice(...ways);
}

/** Digit strings of one length from `low` to `high`. */
function sameLength(low: string, high: string): Expression {
	if (low === "") return EMPTY;
	const [first, last] = [Number(low[0]), Number(high[0])];
	const rest = low.length - 1;
	if (/^0*$/.test(low) && /^9*$/.test(high)) return repeat(DIGIT, rest + 1, rest + 1);
	if (first === last) return sequence(text(low[0]!), sameLength(low.slice(1), high.slice(1)));
	return choice(
		sequence(text(low[0]!), sameLength(low.slice(1), "9".repeat(rest))),
		sequence(digitBetween(first + 1, last - 1), repeat(DIGIT, rest, rest)),
		sequence(text(high[0]!), sameLength("0".repeat(rest), high.slice(1))),
	);
}

function digitBetween(low: number, high: number): Expression {
	return low > high ? NOTHING : characters([[0x30 + low, 0x30 + high]]);
}

/** Nothing, or a point and digits, between two fractions; null: no bound on that side. */
function fractionBetween(
	excluded: { readonly lowExcluded: boolean; readonly highExcluded: boolean },
	low: string | null,
	high: string | null,
	digits: number,
): Expression {
	/** What may follow where the digits so far equal those of the bounds that are left. */
	const rest = (from: string | null, to: string | null, left: number, mayEnd: boolean): Expression => {
		const atLow = from !== null && /^0*$/.test(from);
		const atHigh = to !== null && /^0*$/.test(to);
		if (atHigh && excluded.highExcluded) return NOTHING;
		const lower = atLow && !excluded.lowExcluded ? null : from;
		const ends = mayEnd && (lower === null || (atLow && !excluded.lowExcluded));
		if (lower === null && to === null) return repeat(DIGIT, mayEnd ? 0 : 1, left);
		const ways: Expression[] = ends ? [EMPTY] : [];
		if (left > 0) {
			const [least, most] = [
				lower === null ? -1 : Number(lower[0] ?? 0),
				to === null ? 10 : Number(to[0] ?? 0),
			];
			const below = lower === null ? null : lower.slice(1);
			const above = to === null ? null : to.slice(1);
			const next = (digit: number, a: string | null, b: string | null) =>
				ways.push(sequence(text(String(digit)), rest(a, b, left - 1, true)));
			if (least === most) next(least, below, above);
			else if (least < most) {
				if (least >= 0) next(least, below, null);
				if (least + 1 <= most - 1)
					ways.push(sequence(digitBetween(least + 1, most - 1), repeat(DIGIT, 0, left - 1)));
				if (most <= 9) next(most, null, above);
			}
		}
		return choice(...ways);
	};
	const noFraction = fractionless(excluded, low, high) ? [EMPTY] : [];
	if (digits < 1) return choice(...noFraction);
	return choice(...noFraction, sequence(text("."), rest(low, high, digits, false)));
}

/** Whether the fraction zero is within the bounds. */
function fractionless(
	{ lowExcluded, highExcluded }: { readonly lowExcluded: boolean; readonly highExcluded: boolean },
	low: string | null,
	high: string | null,
): boolean {
	if (low !== null && (low !== "" || lowExcluded)) return false;
	return high === null || high !== "" || !highExcluded;
}
