// SPDX-License-Identifier: Apache-2.0

const MONTHS = "January February March April May June July August September October November December".split(
	" ",
);
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");

/** Python's `strftime` in local time and English, for the directives that templates use; others stay as they are. */
export function strftime(date: Date, format: string): string {
	const two = (value: number): string => String(value).padStart(2, "0");
	const directives: Readonly<Record<string, () => string>> = {
		Y: () => String(date.getFullYear()),
		y: () => two(date.getFullYear() % 100),
		m: () => two(date.getMonth() + 1),
		B: () => MONTHS[date.getMonth()]!,
		b: () => MONTHS[date.getMonth()]!.slice(0, 3),
		d: () => two(date.getDate()),
		A: () => DAYS[date.getDay()]!,
		a: () => DAYS[date.getDay()]!.slice(0, 3),
		H: () => two(date.getHours()),
		I: () => two(date.getHours() % 12 || 12),
		p: () => (date.getHours() < 12 ? "AM" : "PM"),
		M: () => two(date.getMinutes()),
		S: () => two(date.getSeconds()),
		"%": () => "%",
	};
	return format.replace(/%([A-Za-z%])/g, (directive, letter: string) => directives[letter]?.() ?? directive);
}
