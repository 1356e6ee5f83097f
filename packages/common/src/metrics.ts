// SPDX-License-Identifier: Apache-2.0

export type MetricLabels = Readonly<Record<string, string>>;

export interface Counter {
	inc(labels?: MetricLabels, by?: number): void;
}
export interface Gauge {
	set(value: number, labels?: MetricLabels): void;
	inc(labels?: MetricLabels, by?: number): void;
	dec(labels?: MetricLabels, by?: number): void;
	/** Forgets the series of these labels: what they name is gone. */
	remove(labels: MetricLabels): void;
}
export interface Histogram {
	observe(value: number, labels?: MetricLabels): void;
}

export interface MetricOptions {
	/** Full name as exposed, for example `dynamo_frontend_requests_total`. */
	readonly name: string;
	readonly help: string;
	readonly labels?: readonly string[];
}

/**
 * Where components create their metrics. Asking twice for one name returns the same metric.
 * `@dyn/runtime/prometheus` implements it over prom-client; `noMetrics` drops everything.
 */
export interface Metrics {
	counter(options: MetricOptions): Counter;
	gauge(options: MetricOptions): Gauge;
	histogram(options: MetricOptions & { readonly buckets: readonly number[] }): Histogram;
	/** Called before each exposition, to set gauges that are cheaper to read than to keep. */
	onCollect(callback: () => void): void;
	/** Prometheus text exposition format 0.0.4. */
	expose(): Promise<string>;
}

const drop = (): void => {};
export const noMetrics: Metrics = {
	counter: () => ({ inc: drop }),
	gauge: () => ({ set: drop, inc: drop, dec: drop, remove: drop }),
	histogram: () => ({ observe: drop }),
	onCollect: drop,
	expose: async () => "",
};
