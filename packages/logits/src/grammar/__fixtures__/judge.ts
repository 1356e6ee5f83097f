// SPDX-License-Identifier: Apache-2.0
import { Ajv2020 } from "ajv/dist/2020.js";

/** What others say a format is; written without looking at our expressions. */
const FORMATS: Record<string, (value: string) => boolean> = {
	date: (value) => isDate(value),
	time: (value) => isInstant(`2000-01-01T${value}`),
	"date-time": (value) => isDate(value.slice(0, 10)) && isInstant(value),
	duration: (value) => /^P(?!$)(\d+W|(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)$/.test(value),
	uuid: (value) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value),
	email: (value) => /^[\w+-]+(\.[\w+-]+)*@([a-z\d]([a-z\d-]*[a-z\d])?\.)+[a-z\d]([a-z\d-]*[a-z\d])?$/i.test(value),
	hostname: (value) => value.length <= 253 && value.split(".").every((label) => /^[a-z\d]([a-z\d-]{0,61}[a-z\d])?$/i.test(label)),
	ipv4: (value) => value.split(".").length === 4 && value.split(".").every((part) => String(Number(part)) === part && Number(part) < 256),
	ipv6: (value) => new URL(`http://[${value}]/`).hostname.length > 0,
	uri: (value) => URL.canParse(value),
};

function isDate(value: string): boolean {
	return !Number.isNaN(Date.parse(value)) && new Date(value).toISOString().startsWith(value);
}

function isInstant(value: string): boolean {
	return !Number.isNaN(Date.parse(value));
}

const ajv = new Ajv2020({ strict: false, allErrors: true, formats: FORMATS });

/** What an independent validator has against a text; null when it is JSON that satisfies the schema. */
export function objections(schema: boolean | Record<string, unknown>, text: string): string | null {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (error) {
		return (error as Error).message;
	}
	const { $id: _, ...plain } = typeof schema === "object" ? schema : {};
	return ajv.validate(typeof schema === "object" ? plain : schema, value) ? null : ajv.errorsText();
}
