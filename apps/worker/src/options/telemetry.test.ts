// SPDX-License-Identifier: Apache-2.0
import { noTracer, parseOptions, silentLogger } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { CLUSTER, FRONTEND, RUN, WORKER } from "./commands.js";
import { openTelemetry } from "./telemetry.js";

describe.each([RUN, WORKER, FRONTEND, CLUSTER])("$name", ({ options }) => {
	const open = (env: Record<string, string>) =>
		openTelemetry(parseOptions(options, [], env).values, silentLogger);

	it("exports no traces unless it is told to", async () => {
		const telemetry = await open({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" });
		expect(telemetry.tracer).toBe(noTracer);
		expect((await open({ OTEL_EXPORT_ENABLED: "0" })).tracer).toBe(noTracer);
	});

	it("takes OpenTelemetry's variables", async () => {
		const env = { OTEL_EXPORT_ENABLED: "1", OTEL_TRACES_SAMPLE_RATIO: "0", OTEL_SERVICE_NAME: "x" };
		const { tracer, close } = await open(env);
		const span = tracer.start("x");
		expect(span.recording).toBe(false);
		expect(span.trace?.traceparent).toMatch(/-00$/);
		await close();
		for (const name of ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
			await expect(open({ ...env, [name]: "no address" })).rejects.toThrow('"no address"');
		await expect(async () => open({ OTEL_TRACES_SAMPLE_RATIO: "2" })).rejects.toThrow(
			"OTEL_TRACES_SAMPLE_RATIO",
		);
	});
});
