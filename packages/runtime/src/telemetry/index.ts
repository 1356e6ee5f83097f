// SPDX-License-Identifier: Apache-2.0
export { createOtelTracer, type OtelTracer, type OtelTracerOptions } from "./otel-tracer.js";
