// SPDX-License-Identifier: Apache-2.0
import { type Logger, silentLogger } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { buildNative } from "./__fixtures__/tiny-model.js";
import { BUILD_COMMAND, findNativeBinding, loadNativeBinding } from "./loader.js";

buildNative();

function recorder(): { logger: Logger; lines: [string, Record<string, unknown>][] } {
	const lines: [string, Record<string, unknown>][] = [];
	const debug = (message: string, fields: Record<string, unknown> = {}) => void lines.push([message, fields]);
	return { logger: { ...silentLogger, debug } as Logger, lines };
}

describe("loadNativeBinding", () => {
	it("finds the package's own binary and logs every attempt", () => {
		const { logger, lines } = recorder();
		const { binding, from } = findNativeBinding({ logger });
		expect(binding.NativeEngine).toBeTypeOf("function");
		expect(lines.at(-1)![0]).toBe("native engine loaded");
		expect(lines.at(-1)![1]["from"]).toBe(from);
		expect(lines.at(-1)![1]["from"]).toMatch(/build\/Release\/dyn_native\.node$/);
		for (const [message] of lines.slice(0, -1)) expect(message).toBe("native engine not loaded");
	});

	it("tries nothing but a given path; the error lists it and the command that builds the binary", () => {
		const { logger, lines } = recorder();
		const nativePath = "/nowhere/dyn_native.node";
		expect(() => loadNativeBinding({ nativePath, logger })).toThrowError(
			expect.objectContaining({
				code: "NATIVE_UNAVAILABLE",
				message: expect.stringMatching(new RegExp(`${BUILD_COMMAND}.*${nativePath}`)),
			}),
		);
		expect(lines).toHaveLength(1);
	});
});
