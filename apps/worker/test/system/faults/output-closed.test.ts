// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { eventually } from "../../server-process.js";
import { Deployment, untilInstances } from "./deployment.js";
import { paced, streamOnce } from "./streams.js";

it("a frontend serves on when nobody reads its log any more (EPIPE)", async () => {
	await using deployment = new Deployment();
	const [frontend, worker] = await Promise.all([deployment.frontend(), deployment.light()]);
	await untilInstances(frontend!, 1);
	frontend!.closeOutput();
	worker!.kill("SIGKILL");
	await worker!.exited;
	for (let count = 0; count < 3; count++)
		expect((await streamOnce(frontend!, paced("Count", 3, 0))).status).toBeGreaterThanOrEqual(500); // and is logged
	await deployment.light();
	await eventually(
		"it serves again",
		async () => (await streamOnce(frontend!, paced("Count", 3, 0))).error === null,
		15_000,
	);
	expect(frontend!.running).toBe(true);
});
