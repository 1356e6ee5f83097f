// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { answer, FakeHub } from "./__fixtures__/fake-hub.js";
import { HubRig, pulledWeights, weights } from "./__fixtures__/hub-rig.js";
import { defaultRetryDelayMs } from "./retry.js";

const rig = new HubRig();

describe("a hub that refuses", () => {
	it.each([429, 500, 503])("is asked again after %i", async (status) => {
		rig.misbehave(answer(status), answer(status));
		expect(pulledWeights((await rig.pull()).path).equals(weights)).toBe(true);
		expect(rig.weightRequests()).toHaveLength(3);
	});

	it("is heeded when it says how long to wait", async () => {
		const waits: (number | null)[] = [];
		const retryDelayMs = (_attempt: number, askedMs: number | null) => {
			waits.push(askedMs);
			return 0;
		};
		rig.misbehave(
			answer(429, { "retry-after": "7" }),
			answer(503, { "retry-after": "99999" }),
			answer(503, { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }),
			answer(503, { "retry-after": "soon" }),
			answer(503),
		);
		await rig.pull({ retryDelayMs });
		expect(waits).toEqual([7_000, 60_000, 0, null, null]);
	});

	it("is asked again after a growing while when it says nothing", () => {
		expect(defaultRetryDelayMs(0, 7_000)).toBe(7_000);
		for (const [attempt, longest] of [500, 1_000, 2_000, 4_000, 8_000, 8_000].entries()) {
			const delays = Array.from({ length: 50 }, () => defaultRetryDelayMs(attempt, null));
			expect(Math.max(...delays)).toBeLessThanOrEqual(longest);
			expect(Math.min(...delays)).toBeGreaterThanOrEqual(longest * 0.75);
			expect(new Set(delays).size).toBeGreaterThan(1);
		}
	});

	it.each([
		[401, "set HF_TOKEN"],
		[403, "accept its licence"],
		[404, "check the spelling"],
	])("for good with %i is not asked again, and the message helps", async (status, advice) => {
		rig.misbehave(answer(status));
		const refusal = { code: "MODEL_UNAVAILABLE", message: expect.stringContaining(advice) };
		await expect(rig.pull()).rejects.toMatchObject(refusal);
		expect(rig.weightRequests()).toHaveLength(1);
		rig.hub.list = (response) => response.writeHead(status).end();
		await expect(rig.pull()).rejects.toMatchObject(refusal);
		await expect(rig.pull()).rejects.toThrow("org/name");
	});

	it("with a portal's page instead of a list is recognised", async () => {
		rig.hub.list = (response) => response.end("<html>please log in</html>");
		await expect(rig.pull()).rejects.toThrow("is it a Hugging Face hub?");
	});

	it("is given up when it is not there", async () => {
		await rig.hub.close();
		await expect(rig.pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringMatching(/ECONNREFUSED.*check the network/),
		});
		rig.hub = await new FakeHub().start();
	});

	it("is not asked at all in offline mode or without leave to pull", async () => {
		await expect(rig.pull({ offline: true })).rejects.toMatchObject({ code: "OFFLINE" });
		await expect(rig.store().resolve("org/name")).rejects.toThrow("dyn-worker model pull org/name");
		expect(rig.hub.requests).toEqual([]);
	});
});
