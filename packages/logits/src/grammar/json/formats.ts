// SPDX-License-Identifier: Apache-2.0

const MONTH_AND_DAY = [
	"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
	"(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
	"02-(?:0[1-9]|1[0-9]|2[0-8])", // 29 February is never written: whether it exists depends on the year
].join("|");
const DATE = `[0-9]{4}-(?:${MONTH_AND_DAY})`;
const TIME =
	"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,3}`;

/** What is written for a `format`, as regular expressions: RFC 3339, RFC 4122, RFC 5321's dot-atoms, RFC 1123, RFC 3986, ISO 8601 durations. */
export const FORMATS: Readonly<Record<string, string>> = {
	date: DATE,
	time: TIME,
	"date-time": `(?:${DATE})T${TIME}`,
	duration:
		"P(?:[0-9]{1,4}W|[0-9]{1,4}D(?:T[0-9]{1,4}[HMS])?|T[0-9]{1,4}[HMS]|[0-9]{1,4}[YM](?:[0-9]{1,4}D)?)",
	uuid: "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
	email: `[A-Za-z0-9_+-]{1,32}(?:\\.[A-Za-z0-9_+-]{1,16}){0,3}@${LABEL}(?:\\.${LABEL}){1,3}`,
	hostname: HOST,
	ipv4: `${BYTE}(?:\\.${BYTE}){3}`,
	ipv6: "(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}",
	uri: `https?://${HOST}(?::[1-9][0-9]{0,3})?(?:/[A-Za-z0-9._~-]{1,64}){0,8}/?`,
};
