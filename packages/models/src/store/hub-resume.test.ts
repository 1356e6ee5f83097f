// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { answer, serve, stallAfter } from "./__fixtures__/fake-hub.js";
import { HubRig, pulledWeights, WEIGHTS, weights } from "./__fixtures__/hub-rig.js";
import type { ModelStoreOptions } from "./model-store.js";

const rig = new HubRig();

describe("a broken connection", () => {
	it("is resumed at the byte where it broke, if the file is still the same", async () => {
		rig.misbehave(stallAfter(1000));
		const { path } = await rig.pull(rig.dropAt(1000));
		expect(pulledWeights(path).equals(weights)).toBe(true);
		expect(rig.weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`]);
		expect(rig.hub.headers.at(-1)!["if-range"]).toMatch(/^"[0-9a-f]{16}"$/);
	});

	it("may break any number of times as long as there is progress", async () => {
		const steps = Array.from({ length: 15 }, (_, i) => 1000 * (i + 1));
		rig.misbehave(...steps.map(() => stallAfter(1000)));
		expect(pulledWeights((await rig.pull(rig.dropAt(...steps))).path).equals(weights)).toBe(true);
		expect(rig.weightRequests()).toHaveLength(16);
	});

	it("is given up after six tries without progress, saying so; what was fetched stays", async () => {
		rig.misbehave(stallAfter(1000), ...Array(20).fill(answer(500)));
		await expect(rig.pull(rig.dropAt(1000))).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringMatching(
				/in 6 attempts: .* answered 500 .*; check the network and run the same command/,
			),
		});
		rig.hub.misbehaviours.clear();
		await rig.pull();
		expect(rig.weightRequests().at(-1)).toBe(`${WEIGHTS} bytes=1000-`);
	});

	it("starts over when the hub ignores ranges", async () => {
		rig.misbehave(stallAfter(1000), (_request, response, bytes) =>
			Boolean(response.writeHead(200).end(bytes)),
		);
		expect(pulledWeights((await rig.pull(rig.dropAt(1000))).path).equals(weights)).toBe(true);
	});

	it("starts over when the hub finds the range unsatisfiable", async () => {
		rig.misbehave(stallAfter(1000), answer(416));
		expect(pulledWeights((await rig.pull(rig.dropAt(1000))).path).equals(weights)).toBe(true);
		expect(rig.weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`, WEIGHTS]);
	});
});

describe("a file that changes while it is downloaded", () => {
	const changed = Buffer.from(weights).reverse();
	const change = () => {
		rig.hub.files.set(WEIGHTS, changed);
		rig.hub.drop();
	};
	const changeAt1000: ModelStoreOptions = {
		onProgress: ({ receivedBytes }) => receivedBytes === 1000 && change(),
	};
	beforeEach(() => rig.hub.checksums.clear());

	it("is fetched anew, not mixed", async () => {
		rig.misbehave(stallAfter(1000));
		expect(pulledWeights((await rig.pull(changeAt1000)).path).equals(changed)).toBe(true);
	});

	it("is fetched anew also from a hub that heeds Range but not If-Range", async () => {
		rig.misbehave(stallAfter(1000), (request, response, bytes) => {
			delete request.headers["if-range"];
			serve(request, response, bytes);
			return true;
		});
		expect(pulledWeights((await rig.pull(changeAt1000)).path).equals(changed)).toBe(true);
		expect(rig.weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`, WEIGHTS]);
	});

	it("is fetched anew when there was neither a strong tag nor a checksum to tell", async () => {
		rig.misbehave((_request, response, bytes) => {
			response
				.writeHead(200, { etag: 'W/"weak"', "content-length": bytes.length })
				.write(bytes.subarray(0, 1000));
			return true;
		});
		expect(pulledWeights((await rig.pull(changeAt1000)).path).equals(changed)).toBe(true);
		expect(rig.weightRequests()).toEqual([WEIGHTS, WEIGHTS]);
	});

	it("is fetched anew with all others when the repository has a new commit", async () => {
		rig.misbehave(stallAfter(1000), ...Array(6).fill(answer(500)));
		await expect(rig.pull(rig.dropAt(1000))).rejects.toThrow("in 6 attempts");
		rig.hub.commit = "decade";
		rig.hub.files.set("config.json", Buffer.from("{}"));
		rig.hub.files.set(WEIGHTS, changed);
		const { path } = await rig.pull();
		expect(readFileSync(join(path, "config.json"), "utf8")).toBe("{}");
		expect(pulledWeights(path).equals(changed)).toBe(true);
		expect(readdirSync(rig.directory)).toEqual(["org%2Fname"]);
	});
});

describe("what a hub says of sizes", () => {
	it("is not believed when the body is shorter", async () => {
		rig.misbehave((_request, response) => {
			response.write(weights.subarray(0, 1000)); // of no announced length
			return Boolean(response.end());
		});
		expect(pulledWeights((await rig.pull()).path).equals(weights)).toBe(true);
		expect(rig.weightRequests()).toHaveLength(2);
	});

	it("must agree with the list before anything is touched", async () => {
		const page = answer(200, { "content-length": "7" }, "a page!");
		rig.misbehave(stallAfter(1000), page);
		expect(pulledWeights((await rig.pull(rig.dropAt(1000))).path).equals(weights)).toBe(true);
		expect(rig.weightRequests().at(-1)).toBe(`${WEIGHTS} bytes=1000-`);
		await rig.store().remove("org/name");
		rig.misbehave(...Array(6).fill(page));
		await expect(rig.pull()).rejects.toThrow("model.safetensors came with 7 bytes instead of 300000");
	});

	it("bounds what is written when the body is longer", async () => {
		let sent = 0;
		rig.misbehave((_request, response) => {
			const more = () => {
				while (!response.destroyed && response.write(weights)) sent++;
			};
			response.on("drain", more);
			more();
			return true;
		});
		await expect(rig.pull()).rejects.toThrow("would get more than its 300000 bytes");
		expect(sent).toBeLessThan(1000);
	});

	it("may be nothing at all", async () => {
		rig.hub.sizeOf = () => undefined;
		rig.hub.checksums.clear();
		rig.hub.files.set("config.json", Buffer.alloc(0));
		rig.misbehave(stallAfter(1000));
		const { path } = await rig.pull(rig.dropAt(1000));
		expect(pulledWeights(path).equals(weights)).toBe(true);
		expect(readFileSync(join(path, "config.json"))).toHaveLength(0);
	});
});
