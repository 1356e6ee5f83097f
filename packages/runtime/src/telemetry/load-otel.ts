// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

const PACKAGES = [
	"@opentelemetry/api@1.9",
	"@opentelemetry/resources@2",
	"@opentelemetry/sdk-trace-base@2",
	"@opentelemetry/exporter-trace-otlp-http@0.2",
];

/** What of OpenTelemetry is used here. */
export interface Otel {
	readonly api: typeof import("@opentelemetry/api");
	readonly sdk: typeof import("@opentelemetry/sdk-trace-base");
	readonly resources: typeof import("@opentelemetry/resources");
	readonly exporter: typeof import("@opentelemetry/exporter-trace-otlp-http");
}

/** @throws DynError UNIMPLEMENTED when OpenTelemetry is not installed */
export async function loadOtel(): Promise<Otel> {
	try {
		const [api, sdk, resources, exporter] = await Promise.all([
			import("@opentelemetry/api"),
			import("@opentelemetry/sdk-trace-base"),
			import("@opentelemetry/resources"),
			import("@opentelemetry/exporter-trace-otlp-http"),
		]);
		return { api, sdk, resources, exporter };
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
		throw new DynError(
			"UNIMPLEMENTED",
			`exporting traces needs OpenTelemetry: npm install ${PACKAGES.join(" ")}`,
			{ cause },
		);
	}
}
