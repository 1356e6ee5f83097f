// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { SpanExporter } from "@opentelemetry/sdk-trace-base";

/** An exporter that logs when its collector goes away and when it is back, once each: OpenTelemetry itself is silent. */
export function reportingExporter(exporter: SpanExporter, url: string, logger: Logger): SpanExporter {
	let isAway = false;
	return {
		export(spans, done) {
			exporter.export(spans, (result) => {
				const failed = result.code !== 0;
				if (failed && !isAway)
					logger.warn("spans are lost: the trace collector does not take them", {
						collector: url,
						error: result.error,
					});
				else if (!failed && isAway) logger.info("the trace collector takes spans again", { collector: url });
				isAway = failed;
				done(result);
			});
		},
		shutdown: () => exporter.shutdown(),
		forceFlush: async () => exporter.forceFlush?.(),
	};
}
