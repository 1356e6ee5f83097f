// SPDX-License-Identifier: Apache-2.0
// KV events: polled from the engine's buffer over HTTP, or streamed by the engine's own ZeroMQ publisher.
import { generatesText, isGrpc } from "../serve-options.js";
import { type Check, error, numberAt, type ServeSetup, valueAt } from "./finding.js";

const CONFIG = "kv_cache_config.kv_events_config";

const streams = ({ args }: ServeSetup) => valueAt(args, `${CONFIG}.enable_kv_cache_events`) === true;
const buffers = ({ args }: ServeSetup) => numberAt(args, "kv_cache_config.event_buffer_max_size", 0) !== 0;
const wanted = (setup: ServeSetup) =>
	setup.options.publishKvEvents === true || streams(setup) || buffers(setup);

/** A rule for the streaming publisher only. */
const whenStreaming =
	(holds: (setup: ServeSetup) => boolean, code: string, what: string, fix: string): Check =>
	(setup) =>
		streams(setup) && !holds(setup) ? error(code, what, fix) : null;

const blockReuse: Check = (setup) =>
	!wanted(setup) || valueAt(setup.args, "kv_cache_config.enable_block_reuse") !== false
		? null
		: error(
				"kv-events-need-block-reuse",
				"KV events are asked for, but kv_cache_config.enable_block_reuse is false: there is no prefix cache to tell of",
				"set kv_cache_config.enable_block_reuse: true, or leave --publish-kv-events out",
			);

const buffer: Check = (setup) =>
	!setup.options.publishKvEvents ||
	!generatesText(setup.options) ||
	streams(setup) ||
	numberAt(setup.args, "kv_cache_config.event_buffer_max_size", 0) > 0
		? null
		: error(
				"kv-event-buffer-empty",
				"KV events are to be published, but kv_cache_config.event_buffer_max_size leaves no room for any",
				"leave event_buffer_max_size out (100000 is used then), or set it above 0",
			);

const reachable: Check = (setup) =>
	!isGrpc(setup.options) ||
	!generatesText(setup.options) ||
	streams(setup) ||
	!(setup.options.publishKvEvents === true || buffers(setup))
		? null
		: error(
				"kv-events-out-of-reach",
				"the engine's event buffer can be read over HTTP only, and over gRPC there is no HTTP server: the router would wait for events that never come",
				"let the engine stream its events with --kv-events-endpoint, or use --engine-protocol http",
			);

export const kvEventChecks: readonly Check[] = [
	blockReuse,
	buffer,
	reachable,
	whenStreaming(
		({ args }) => /^(tcp:\/\/.+:\d+|ipc:\/\/.+)$/.test(String(valueAt(args, `${CONFIG}.endpoint`))),
		"kv-event-stream-without-endpoint",
		`the engine is to stream its KV events, but ${CONFIG}.endpoint is no ZeroMQ address`,
		"set an address such as --kv-events-endpoint tcp://127.0.0.1:5557",
	),
	whenStreaming(
		({ args }) => valueAt(args, "kv_cache_config.use_kv_cache_manager_v2") === true,
		"kv-event-stream-needs-manager-v2",
		"only KV cache manager V2 streams KV events",
		"set kv_cache_config.use_kv_cache_manager_v2: true",
	),
	whenStreaming(
		({ env }) => env["TLLM_KV_CACHE_MANAGER_V2_BACKEND"]?.toLowerCase() === "python",
		"kv-event-stream-needs-python-manager",
		"only the Python implementation of KV cache manager V2 streams KV events, and TLLM_KV_CACHE_MANAGER_V2_BACKEND asks for another",
		"set TLLM_KV_CACHE_MANAGER_V2_BACKEND=python, or unset it",
	),
	whenStreaming(
		({ args }) =>
			numberAt(args, "pipeline_parallel_size", 1) === 1 && numberAt(args, "context_parallel_size", 1) === 1,
		"kv-event-stream-without-pipeline",
		"the engine does not stream KV events with pipeline or context parallelism",
		"set --pipeline-parallel-size 1 and context_parallel_size: 1, or use --engine-protocol http without --kv-events-endpoint",
	),
];
