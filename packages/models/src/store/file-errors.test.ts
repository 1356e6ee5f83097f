// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { explainFileError } from "./file-errors.js";

it.each([
	["ENOSPC", "DISK_FULL"],
	["EDQUOT", "DISK_FULL"],
	["EROFS", "MODEL_UNAVAILABLE"],
	["EACCES", "MODEL_UNAVAILABLE"],
	["ENOTDIR", "MODEL_UNAVAILABLE"],
])("turns %s into %s with advice", (code, expected) => {
	const explained = explainFileError(
		Object.assign(new Error("write"), { code, syscall: "write" }),
		"/models",
	);
	expect(explained).toMatchObject({ code: expected, message: expect.stringContaining("--model-store") });
});

it("leaves other errors alone", () => {
	const error = new Error("other");
	expect(explainFileError(error, "/models")).toBe(error);
});
