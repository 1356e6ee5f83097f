// SPDX-License-Identifier: Apache-2.0
// Handing KV blocks from prefill to decode workers: cache_transceiver_config and the transports below it.
import { isDisaggregated } from "../serve-options.js";
import { type Check, error, numberAt, valueAt, warning } from "./finding.js";

/** Dynamo issue 4327: a prompt that does not fit into the buffer times out and blocks the worker for good. */
const bufferHoldsEveryPrompt: Check = ({ options, args }) => {
	if (!isDisaggregated(options)) return null;
	const longest = numberAt(args, "max_seq_len", 0);
	const buffer = numberAt(args, "cache_transceiver_config.max_tokens_in_buffer", 0);
	if (longest > 0 && buffer > longest) return null;
	const fix =
		longest > 0
			? `set cache_transceiver_config.max_tokens_in_buffer above ${longest}, or lower --max-seq-len`
			: "set --max-seq-len, which also sizes the buffer";
	return error(
		"transfer-buffer-too-small",
		`a prompt can be longer than the KV transfer buffer (cache_transceiver_config.max_tokens_in_buffer ${buffer || "unset"}, max_seq_len ${longest || "unset"}): its transfer would time out and the worker would hang`,
		fix,
	);
};

const prefillWithoutOverlap: Check = ({ options, args }) =>
	options.disaggregationMode !== "prefill" || args["disable_overlap_scheduler"] === true
		? null
		: error(
				"overlap-scheduler-on-prefill",
				"the overlap scheduler is on, with which a prefill worker cannot hand over its KV blocks",
				"set disable_overlap_scheduler: true, or leave it out",
			);

const timeoutOfTransfers: Check = ({ options, args }) =>
	!isDisaggregated(options) || numberAt(args, "cache_transceiver_config.kv_transfer_timeout_ms", 0) > 0
		? null
		: warning(
				"transfer-timeout-missing",
				"KV transfers have no time limit: blocks of a prompt whose decode worker never comes stay taken for the engine's default time or for ever",
				"set cache_transceiver_config.kv_transfer_timeout_ms, for example 60000",
			);

const ucxVariable: Check = ({ args, env }) =>
	!/^(1|true)$/i.test(env["TRTLLM_USE_UCX_KVCACHE"] ?? "") ||
	String(valueAt(args, "cache_transceiver_config.backend") ?? "DEFAULT").toUpperCase() !== "DEFAULT"
		? null
		: error(
				"ucx-variable-without-effect",
				"TRTLLM_USE_UCX_KVCACHE is set, but has no effect while cache_transceiver_config.backend is DEFAULT, which is NIXL",
				"set cache_transceiver_config.backend: UCX and unset the variable",
			);

const efaSharedMemory: Check = ({ env }) =>
	env["FI_PROVIDER"] !== "efa" || env["FI_EFA_ENABLE_SHM_TRANSFER"] === "0"
		? null
		: error(
				"efa-shared-memory",
				"FI_PROVIDER is efa, but its shared memory transfer is not off, with which KV transfers fail",
				"set FI_EFA_ENABLE_SHM_TRANSFER=0",
			);

const efaDeviceRdma: Check = ({ env }) =>
	env["FI_PROVIDER"] !== "efa" || env["FI_EFA_USE_DEVICE_RDMA"] === "1"
		? null
		: error(
				"efa-without-device-rdma",
				"FI_PROVIDER is efa, but it may not read GPU memory: KV blocks would be copied through the host",
				"set FI_EFA_USE_DEVICE_RDMA=1",
			);

/** The plugins of the container and of the wheel differ in ABI; only decode over several nodes needs the other ones. */
const nixlPlugins: Check = ({ options, args, env }) => {
	if (!env["NIXL_PLUGIN_DIR"]) return null;
	const ranks = numberAt(args, "tensor_parallel_size", 1) * numberAt(args, "pipeline_parallel_size", 1);
	const oneNode = ranks <= numberAt(args, "gpus_per_node", ranks);
	if (options.disaggregationMode === "decode" && !oneNode) return null;
	return error(
		"nixl-plugin-dir",
		"NIXL_PLUGIN_DIR is set, but it is for decode workers that span several nodes only; elsewhere it loads transfer plugins of another build",
		oneNode && options.disaggregationMode === "decode"
			? "unset it, or say with --gpus-per-node that the ranks are on several nodes"
			: "unset it here",
	);
};

const smgHandsNothingOver: Check = ({ options }) =>
	!isDisaggregated(options) || options.protocol !== "smg"
		? null
		: error(
				"smg-without-disaggregation",
				`the smg protocol cannot hand KV blocks over, so it cannot serve a ${options.disaggregationMode} worker`,
				"use --engine-protocol openengine",
			);

export const transferChecks: readonly Check[] = [
	bufferHoldsEveryPrompt,
	prefillWithoutOverlap,
	timeoutOfTransfers,
	ucxVariable,
	efaSharedMemory,
	efaDeviceRdma,
	nixlPlugins,
	smgHandsNothingOver,
];
