// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, type Metrics } from "@dyn/common";

/** Time that the engine gets for its series; an exposition without them is better than none. */
const TIMEOUT_MS = 2000;
/** Largest exposition that is read, bytes. */
const MAX_BYTES = 8 * 2 ** 20;
const PREFIX = "trtllm_";

/**
 * `metrics` with the engine's own series (`trtllm_...`) behind ours in every exposition. TensorRT-LLM has them over HTTP
 * only, and with `return_perf_metrics: true` (its `/prometheus/metrics`).
 * @param url of the exposition, such as http://127.0.0.1:8000/prometheus/metrics
 */
export function forwardEngineMetrics(metrics: Metrics, url: string, logger: Logger): Metrics {
	let wasThere = true;
	return {
		counter: (options) => metrics.counter(options),
		gauge: (options) => metrics.gauge(options),
		histogram: (options) => metrics.histogram(options),
		onCollect: (callback) => metrics.onCollect(callback),
		async expose() {
			const [own, engines] = await Promise.all([metrics.expose(), read(url).catch(DynError.from)]);
			const isThere = typeof engines === "string";
			if (isThere !== wasThere)
				logger.warn(isThere ? "the engine shows its metrics again" : "the engine does not show its metrics", {
					url,
					...(isThere ? {} : { error: engines }),
				});
			wasThere = isThere;
			return isThere ? own + seriesOf(engines, namesIn(own)) : own;
		},
	};
}

async function read(url: string): Promise<string> {
	const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: "error" });
	if (!response.ok) throw new DynError("UNAVAILABLE", `${url} answered with ${response.status}`);
	const chunks: Uint8Array[] = [];
	let bytes = 0;
	for await (const chunk of response.body ?? []) {
		bytes += chunk.length;
		if (bytes > MAX_BYTES)
			throw new DynError("PAYLOAD_TOO_LARGE", `${url} is longer than ${MAX_BYTES} bytes`);
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString();
}

/** Name of the series that a line of the text format is about; null for an empty line or another comment. */
const nameIn = (line: string): string | null =>
	/^(?:# (?:HELP|TYPE) )?([a-zA-Z_:][\w:]*)/.exec(line)?.[1] ?? null;

function namesIn(text: string): ReadonlySet<string> {
	return new Set(
		text.split("\n").flatMap((line) => (line.startsWith("# TYPE ") ? (nameIn(line) ?? []) : [])),
	);
}

/** The engine's lines whose names are its own: a name may come once only in an exposition. */
function seriesOf(text: string, taken: ReadonlySet<string>): string {
	const lines = text.split("\n").filter((line) => {
		const name = nameIn(line);
		if (!name?.startsWith(PREFIX)) return false;
		return !taken.has(name) && !taken.has(name.replace(/_(bucket|sum|count)$/, ""));
	});
	return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}
