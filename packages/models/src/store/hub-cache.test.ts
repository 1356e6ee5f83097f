// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { findInHubCache } from "./hub-cache.js";
import { parseHubModel } from "./pull-hub.js";

let home: string;
let snapshot: string;
beforeEach(async () => {
	home = await mkdtemp(join(tmpdir(), "dyn-cache-"));
	snapshot = join(home, "hub/models--org--name/snapshots/abc123");
	put("../../refs/main", "abc123\n");
	put("../../refs/refs/pr/1", "abc123");
	put("config.json");
});
afterEach(() => rm(home, { recursive: true }));

function put(name: string, text = "{}"): void {
	mkdirSync(dirname(join(snapshot, name)), { recursive: true });
	writeFileSync(join(snapshot, name), text);
}
const find = (model = "org/name") => findInHubCache(home, parseHubModel(model)!);

describe("the Hugging Face cache", () => {
	it("gives a whole snapshot by branch, reference or commit", () => {
		put("model.safetensors");
		expect(find()).toBe(snapshot);
		expect(find("org/name@refs/pr/1")).toBe(snapshot);
		expect(find("org/name@abc123")).toBe(snapshot);
		expect(find("org/name@other")).toBeNull();
		expect(find("org/other")).toBeNull();
	});

	it("gives one GGUF file", () => {
		put("q4/m.gguf");
		expect(find("org/name:q4/m.gguf")).toBe(join(snapshot, "q4/m.gguf"));
		expect(find("org/name:q8/m.gguf")).toBeNull();
	});

	it("gives no snapshot with weights missing, as an interrupted download leaves it", () => {
		expect(find()).toBeNull();
		put("model.safetensors.index.json", '{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}');
		put("1.safetensors");
		expect(find()).toBeNull();
		symlinkSync("../../blobs/absent", join(snapshot, "2.safetensors"));
		expect(find()).toBeNull();
		put("../../blobs/absent", "");
		expect(find()).toBe(snapshot);
		put("model.safetensors.index.json", "nonsense");
		expect(find()).toBeNull();
	});

	it("does not follow a reference out of itself", () => {
		put("../../../../elsewhere/config.json");
		put("../../../../elsewhere/model.safetensors");
		put("../../refs/main", "../../../elsewhere");
		expect(find()).toBeNull();
	});
});

describe("names of hub models", () => {
	it.each([
		["org/name", "org/name", "main", null],
		["org/name@v1", "org/name", "v1", null],
		["o.r-g/n_a.me@refs/pr/1:q/x.gguf", "o.r-g/n_a.me", "refs/pr/1", "q/x.gguf"],
	])("%s is understood", (model, repository, revision, file) => {
		expect(parseHubModel(model)).toEqual({ repository, revision, file });
	});

	it.each([
		"",
		".",
		"..",
		"name",
		"/org/name",
		"./name",
		"org/..",
		"a/b/c",
		"models/x.gguf",
		"org/name:x.bin",
	])("%s is not one", (model) => {
		expect(parseHubModel(model)).toBeNull();
	});

	it.each([
		"org/name@../main",
		"org/name@/main",
		"org/name:../x.gguf",
		"org/name:/x.gguf",
		"org/name:a//x.gguf",
	])("%s would lead elsewhere", (model) => {
		expect(parseHubModel(model)).toBeNull();
	});
});
