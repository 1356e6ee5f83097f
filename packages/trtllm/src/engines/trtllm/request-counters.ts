// SPDX-License-Identifier: Apache-2.0
import type { Metrics } from "@dyn/common";
import type { GenerateRequest } from "@dyn/protocols";
import type { DisaggregationMode } from "../../disaggregation-mode.js";

/** Dynamo's own series of its TensorRT-LLM backend (prometheus_names, `trtllm_additional`). */
export class RequestCounters {
	readonly #count: Readonly<Record<"aborted" | "image" | "structured", () => void>>;
	readonly #loadTime: (seconds: number) => void;

	constructor(metrics: Metrics, model: string, mode: DisaggregationMode) {
		const values = { model_name: model, disaggregation_mode: mode, engine_type: "trtllm" };
		const counter = (name: string, help: string) => {
			const { inc } = metrics.counter({ name, help, labels: Object.keys(values) });
			return () => inc(values);
		};
		this.#count = {
			aborted: counter("trtllm_num_aborted_requests_total", "Requests that were cancelled at the engine"),
			image: counter("trtllm_request_type_image_total", "Requests with images"),
			structured: counter("trtllm_request_type_structured_output_total", "Requests with a guide"),
		};
		const loadTime = metrics.gauge({
			name: "dynamo_component_model_load_time_seconds",
			help: "Time from the start of the engine to its readiness",
			labels: ["model"],
		});
		this.#loadTime = (seconds) => loadTime.set(seconds, { model });
	}

	took({ media, guided, healthCheck }: GenerateRequest): void {
		if (healthCheck) return;
		if (media.some(({ modality }) => modality === "image")) this.#count.image();
		if (guided) this.#count.structured();
	}

	aborted(): void {
		this.#count.aborted();
	}

	loaded(ms: number): void {
		this.#loadTime(ms / 1000);
	}
}
