// SPDX-License-Identifier: Apache-2.0
export {
	runWireConformance,
	type WireConformanceOptions,
	type WireConformanceReport,
	type WireConformanceResult,
	wireConformanceCases,
} from "./run.js";
export type { WireConformanceCase, WireSubject } from "./subject.js";
