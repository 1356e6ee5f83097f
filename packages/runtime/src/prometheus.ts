// SPDX-License-Identifier: Apache-2.0
// Loads prom-client: kept out of the main entry.
import type { Counter, Gauge, Histogram, MetricOptions, Metrics } from "@dyn/common";
import client from "prom-client";

/** Metrics over prom-client, in a registry of their own. */
export function createPrometheusMetrics(): Metrics {
	const registry = new client.Registry();
	const collectors: (() => void)[] = [];
	const common = ({ name, help, labels = [] }: MetricOptions) => ({
		name,
		help,
		labelNames: [...labels],
		registers: [registry],
	});
	/** A metric of that name, made if there is none. */
	const once = <T>(name: string, make: () => T): T =>
		(registry.getSingleMetric(name) as T | undefined) ?? make();
	return {
		counter(options): Counter {
			const counter = once(options.name, () => new client.Counter(common(options)));
			return { inc: (labels = {}, by = 1) => counter.inc(labels, by) };
		},
		gauge(options): Gauge {
			const gauge = once(options.name, () => new client.Gauge(common(options)));
			return {
				set: (value, labels = {}) => gauge.set(labels, value),
				inc: (labels = {}, by = 1) => gauge.inc(labels, by),
				dec: (labels = {}, by = 1) => gauge.dec(labels, by),
				remove: (labels) => gauge.remove(labels),
			};
		},
		histogram(options): Histogram {
			const histogram = once(
				options.name,
				() => new client.Histogram({ ...common(options), buckets: [...options.buckets] }),
			);
			return { observe: (value, labels = {}) => histogram.observe(labels, value) };
		},
		onCollect: (callback) => void collectors.push(callback),
		async expose() {
			for (const collect of collectors) collect();
			return registry.metrics();
		},
	};
}
