// SPDX-License-Identifier: Apache-2.0
export { type ConformanceCase, type ConformanceSubject, conformanceCases } from "./cases.js";
