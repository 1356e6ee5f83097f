// SPDX-License-Identifier: Apache-2.0
export { AsyncQueue } from "./async-queue.js";
export { type Clock, systemClock } from "./clock.js";
export { DynError, type DynErrorOptions, invalidArgument } from "./dyn-error.js";
export { ERROR_CODES, type ErrorCode, type ErrorCodeInfo } from "./error-codes.js";
export { linkSignals } from "./link-signals.js";
export { LOG_LEVELS, type LogFilter, type LogLevel, levelFor, parseLogFilter } from "./log-filter.js";
export {
	createLogger,
	formatJsonLine,
	formatPrettyLine,
	type LogFields,
	type Logger,
	type LogRecord,
	localTime,
	silentLogger,
	utcTime,
} from "./logger.js";
export {
	type Counter,
	type Gauge,
	type Histogram,
	type MetricLabels,
	type MetricOptions,
	type Metrics,
	noMetrics,
} from "./metrics.js";
export { type OptionSpec, type OptionValue, type ParsedOptions, parseOptions } from "./option-table.js";
export { pause } from "./pause.js";
export {
	cancellationError,
	createRequestContext,
	type RequestContext,
	type RequestContextOptions,
	type TraceContext,
} from "./request-context.js";
export {
	noTracer,
	type Span,
	type SpanAttributes,
	type SpanOptions,
	type Tracer,
	traceFields,
} from "./tracer.js";
