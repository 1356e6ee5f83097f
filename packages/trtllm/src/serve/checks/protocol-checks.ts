// SPDX-License-Identifier: Apache-2.0
// What the engine's three protocols can and cannot do.
import { compareEngineVersions, parseEngineVersion } from "../engine-version.js";
import { generatesText, isDiffusion, isGrpc, type ServeOptions } from "../serve-options.js";
import { advice, type Check, error, numberAt, warning } from "./finding.js";

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/;
/** The first version whose OpenEngine server generates, by Dynamo's tests of its sidecar. */
const FIRST_WITH_OPENENGINE = "1.3.0rc27";

const speaks = (options: ServeOptions, protocol: "openengine" | "smg") =>
	(options.protocol ?? "openengine") === protocol;

const contextLength: Check = ({ options, args }) =>
	!isGrpc(options) || !generatesText(options) || numberAt(args, "max_seq_len", 0) > 0
		? null
		: error(
				"context-length-missing",
				"over gRPC the engine reports its context length only when it was told one, and nobody can route or limit prompts without it",
				"set --max-seq-len",
			);

const brokenRelease: Check = ({ options, engine }) =>
	!isGrpc(options) || compareEngineVersions(engine.version ?? "", "1.3.0rc22") !== 0
		? null
		: error(
				"grpc-broken-in-release",
				`gRPC does not work in TensorRT-LLM ${engine.version}`,
				`install ${FIRST_WITH_OPENENGINE} or later, or use --engine-protocol http`,
			);

const openEngineServer: Check = ({ options, engine }) => {
	if (!speaks(options, "openengine")) return null;
	const version = engine.version ? parseEngineVersion(engine.version) : null;
	const tooOld =
		version !== null && !version.nightly && compareEngineVersions(engine.version!, FIRST_WITH_OPENENGINE) < 0;
	const has = engine.openEngine ?? !tooOld;
	return has
		? null
		: error(
				"openengine-missing",
				`TensorRT-LLM ${engine.version ?? "of unknown version"} has no OpenEngine server`,
				`install ${FIRST_WITH_OPENENGINE} or later with its "openengine" extra, or use --engine-protocol smg or http`,
			);
};

/** TensorRT-LLM with the extra that brings the bindings of a protocol. */
const WITH_BINDINGS = { openengine: "tensorrt_llm[openengine]", smg: "tensorrt_llm[grpc-smg]" } as const;

const bindings: Check = ({ options: { protocol = "openengine" }, engine }) =>
	protocol === "http" || (engine.grpcBindings ?? [protocol]).includes(protocol)
		? null
		: warning(
				"grpc-bindings-missing",
				`the Python bindings of the ${protocol} protocol are not installed beside TensorRT-LLM`,
				`install them with pip install "${WITH_BINDINGS[protocol]}", unless this build has its own`,
			);

const openEngineBackend: Check = ({ options, args }) =>
	!speaks(options, "openengine") || isDiffusion(options) || (args["backend"] ?? "pytorch") === "pytorch"
		? null
		: error(
				"openengine-needs-pytorch",
				`the OpenEngine server runs with backend pytorch only, not with ${args["backend"]}`,
				"leave out backend, or use --engine-protocol http",
			);

const diffusionOverGrpc: Check = ({ options }) =>
	!isGrpc(options) || !isDiffusion(options)
		? null
		: error(
				"diffusion-over-grpc",
				"image and video models are served over HTTP only: trtllm-serve refuses --grpc-protocol for them",
				"use --engine-protocol http",
			);

const encoderOverGrpc: Check = ({ options }) =>
	!isGrpc(options) || options.disaggregationMode !== "encode"
		? null
		: error(
				"encode-over-grpc",
				"encode workers are served over HTTP only: trtllm-serve has no gRPC server for them",
				"use --engine-protocol http",
			);

const mediaOverOpenEngine: Check = ({ options }) =>
	!speaks(options, "openengine") || options.modality !== "multimodal"
		? null
		: error(
				"media-over-openengine",
				"TensorRT-LLM's OpenEngine server refuses requests with images, video or audio",
				"use --engine-protocol http, or smg for images",
			);

const plaintext: Check = ({ options }) =>
	!isGrpc(options) || LOOPBACK.test(options.host ?? "127.0.0.1")
		? null
		: warning(
				"plaintext-listener",
				`the engine listens on ${options.host} in the clear and asks nobody who they are`,
				"keep it on 127.0.0.1 beside the worker, or let a network policy admit the worker only",
			);

const metricsOverGrpc: Check = ({ options }) =>
	!isGrpc(options) || !options.publishMetrics
		? null
		: warning(
				"metrics-need-http",
				"--publish-metrics asks for the engine's iteration statistics, which it serves over HTTP only; over gRPC there is its load",
				"use --engine-protocol http, or leave --publish-metrics out",
			);

const logitsProcessors: Check = ({ options }) =>
	!options.logitsProcessors
		? null
		: error(
				"logits-processors-out-of-reach",
				"logits processors of this process cannot reach logits inside trtllm-serve: no protocol carries them",
				"use the embedded engine (--engine embedded) for requests with logits processors",
			);

const beamsOverOpenEngine: Check = ({ options, args }) =>
	!speaks(options, "openengine") || numberAt(args, "max_beam_width", 1) <= 1
		? null
		: warning(
				"beams-over-openengine",
				"max_beam_width takes memory for beams that no OpenEngine request can ask for",
				"set --max-beam-width 1, or use --engine-protocol smg or http",
			);

const greedyChoices: Check = ({ options, env }) =>
	!generatesText(options) || env["TLLM_ALLOW_N_GREEDY_DECODING"] === "1"
		? null
		: advice(
				"greedy-choices",
				"the engine refuses n above 1 at temperature 0",
				"set TLLM_ALLOW_N_GREEDY_DECODING=1 to allow it",
			);

const streamInterval: Check = ({ options, args }) =>
	!generatesText(options) ||
	options.disaggregationMode === "prefill" ||
	numberAt(args, "stream_interval", 1) > 1
		? null
		: advice(
				"stream-interval",
				"every token is a message of its own",
				"for throughput set stream_interval, for example 5 (about twice the tokens/s in Dynamo's tests, at the price of burstier streams)",
			);

const guidedDecoding: Check = ({ options, args }) =>
	!generatesText(options) || typeof args["guided_decoding_backend"] === "string"
		? null
		: advice(
				"guided-decoding-off",
				"requests for JSON, a schema, a regular expression or a required tool call are refused: no backend compiles them",
				"set --guided-decoding-backend xgrammar to allow them",
			);

export const protocolChecks: readonly Check[] = [
	contextLength,
	brokenRelease,
	openEngineServer,
	bindings,
	openEngineBackend,
	diffusionOverGrpc,
	encoderOverGrpc,
	mediaOverOpenEngine,
	plaintext,
	metricsOverGrpc,
	logitsProcessors,
	beamsOverOpenEngine,
	greedyChoices,
	streamInterval,
	guidedDecoding,
];
