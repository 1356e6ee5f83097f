// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";
import { broker } from "./tables/broker.js";
import { conformance } from "./tables/conformance.js";
import { deployment, graceSeconds } from "./tables/deployment.js";
import { disaggregation, kvTransfer } from "./tables/disaggregation.js";
import { discovery } from "./tables/discovery.js";
import { control, naming, status } from "./tables/endpoint.js";
import { engine } from "./tables/engine.js";
import { general } from "./tables/general.js";
import { http } from "./tables/http.js";
import { mocker } from "./tables/mocker.js";
import { model } from "./tables/model.js";
import { store } from "./tables/model-store.js";
import { planes } from "./tables/planes.js";
import { quantize } from "./tables/quantize.js";
import { requestLimit } from "./tables/request-limit.js";
import { telemetry } from "./tables/telemetry.js";
import { engineKind, trtllm, workerEngine } from "./tables/trtllm.js";

export interface CommandTable {
	readonly name: string;
	readonly summary: string;
	readonly usage: string;
	readonly examples: readonly (readonly [command: string, does: string])[];
	readonly options: readonly OptionSpec[];
	/** Whether words follow the command's name. */
	readonly takesWords?: boolean;
	/** Whether it takes `--trtllm.a.b VALUE` flags too; they come as the value `trtllmArgs`. */
	readonly takesEngineArgs?: boolean;
	/** Its options with `--engine trtllm` or `double`, where they are others. */
	readonly withTrtllm?: Pick<CommandTable, "summary" | "usage" | "examples" | "options">;
}

export const RUN: CommandTable = {
	name: "run",
	summary: "Serve a model: worker and HTTP frontend in one process (the default)",
	usage: "dyn-worker [run] [options]",
	examples: [
		["dyn-worker", "serve the default model on http://127.0.0.1:8000"],
		["dyn-worker --model ./Qwen3-0.6B --http-port 9000", "serve a local checkpoint"],
		["dyn-worker --model org/name:file.gguf", "pull a GGUF file from the Hugging Face hub and serve it"],
	],
	options: [
		...model,
		...engine,
		...http,
		...naming,
		...status,
		...control,
		...store,
		...telemetry,
		...general,
	],
};

const ofWorkers: readonly OptionSpec[] = [
	...naming,
	...status,
	...deployment,
	graceSeconds,
	...store,
	...telemetry,
	...general,
];

export const WORKER: CommandTable = {
	name: "worker",
	summary: "Serve a model as an endpoint, without HTTP",
	usage: "dyn-worker worker [options]",
	examples: [
		["dyn-worker worker", "a worker for every frontend of this host"],
		["dyn-worker worker --system-port 9090", "with health and metrics on port 9090"],
		["dyn-worker worker --discovery-backend etcd", "a worker of a fleet that finds itself through etcd"],
		["dyn-worker worker --disaggregation-mode prefill", "prompts only; decode workers go on with them"],
		["dyn-worker worker --engine trtllm --help", "the options with TensorRT-LLM"],
	],
	options: [
		workerEngine,
		...model,
		...engine,
		...requestLimit,
		...disaggregation,
		...kvTransfer,
		...control,
		...ofWorkers,
	],
	withTrtllm: {
		summary: "Serve a model with TensorRT-LLM, or with a stand-in for it, as an endpoint",
		usage: "dyn-worker worker --engine trtllm|double [options]",
		examples: [
			["dyn-worker worker --engine trtllm --model org/name --max-seq-len 8192", "start it and serve it"],
			["dyn-worker worker --engine trtllm --grpc-endpoint 127.0.0.1:50051", "serve one that runs already"],
			["dyn-worker worker --engine double", "try a deployment without a GPU"],
		],
		options: [
			workerEngine,
			...trtllm,
			...model.filter(({ flags }) => !trtllm.some((spec) => spec.flags.includes(flags[0]!))),
			...requestLimit,
			...ofWorkers,
		],
	},
	takesEngineArgs: true,
};

export const FRONTEND: CommandTable = {
	name: "frontend",
	summary: "The HTTP frontend alone",
	usage: "dyn-worker frontend [options]",
	examples: [["dyn-worker frontend --http-port 8080", "a frontend for the workers that discovery knows"]],
	options: [...http, ...deployment, ...telemetry, ...general],
};

const workers: OptionSpec = {
	name: "workers",
	flags: ["workers"],
	type: "integer",
	range: [1, 64],
	value: "N",
	default: 2,
	help: "Worker processes",
	group: "Cluster",
};

export const CLUSTER: CommandTable = {
	name: "cluster",
	summary: "A frontend and several workers as processes of this host, for trying things",
	usage: "dyn-worker cluster up [options]",
	examples: [
		["dyn-worker cluster up --workers 3", "three workers behind http://127.0.0.1:8000"],
		["dyn-worker cluster up --discovery-backend etcd", "the same, found through a running etcd"],
	],
	options: [
		workers,
		...http,
		...model,
		...engine,
		...naming,
		...deployment,
		...store,
		...telemetry,
		...general,
	],
	takesWords: true,
};

export const CHAT: CommandTable = {
	name: "chat",
	summary: "Chat in the terminal",
	usage: "dyn-worker chat [options]",
	examples: [
		["dyn-worker chat", "chat with the default model, in this process"],
		["dyn-worker chat --url http://localhost:8000", "chat with a running server"],
		["echo 'Say hello.' | dyn-worker chat", "one question, one answer"],
	],
	options: [
		{
			name: "url",
			flags: ["url"],
			type: "string",
			value: "URL",
			help: "Server to talk to (default: none, the model runs here)",
			group: "Chat",
		},
		{
			name: "temperature",
			flags: ["temperature"],
			type: "number",
			range: [0, 2],
			value: "T",
			default: 0.7,
			help: "0 is deterministic",
			group: "Chat",
		},
		{
			name: "maxTokens",
			flags: ["max-tokens"],
			type: "integer",
			range: [1, 1_000_000],
			value: "N",
			default: 512,
			help: "Longest answer",
			group: "Chat",
		},
		{
			name: "system",
			flags: ["system"],
			type: "string",
			value: "TEXT",
			help: "System message",
			group: "Chat",
		},
		...model,
		...engine,
		...store,
		...general,
	],
};

export const MOCKER: CommandTable = {
	name: "mocker",
	summary: "Workers with a simulated engine, or an engine server that stands in for TensorRT-LLM",
	usage: "dyn-worker mocker [options]",
	examples: [
		[
			"dyn-worker mocker --num-workers 4 --speedup-ratio 10",
			"four workers that answer at ten times the speed",
		],
		[
			"dyn-worker mocker --serve openengine --listen 127.0.0.1:50051",
			"an engine server for tests of clients",
		],
	],
	options: [...mocker, ...naming, ...deployment, graceSeconds, ...store, ...general],
};

export const MODEL: CommandTable = {
	name: "model",
	summary: "Pull, list, find and remove models, and measure what quantising one costs",
	usage: "dyn-worker model pull|list|path|remove|quantize [MODEL] [options]",
	examples: [
		["dyn-worker model pull smollm2-135m-instruct", "get a model before it is needed"],
		["dyn-worker model list", "what is in the store"],
		["dyn-worker model path smollm2-135m-instruct", "where a model is"],
		["dyn-worker model remove smollm2-135m-instruct", "delete it"],
		["dyn-worker model quantize --check ./Qwen3-0.6B", "what int8 and int4 cost in perplexity"],
		[
			"dyn-worker model quantize --check ./Qwen3-0.6B --quantization int4 --text my.txt",
			"int4, on a text of yours",
		],
	],
	options: [...quantize, ...store, ...general],
	takesWords: true,
};

export const DOCTOR: CommandTable = {
	name: "doctor",
	summary: "Check this machine and say what to mend",
	usage: "dyn-worker doctor [options]",
	examples: [
		["dyn-worker doctor", "one line per check, with the fix where one fails"],
		[
			"dyn-worker doctor --engine trtllm --model org/name --max-seq-len 8192",
			"whether TensorRT-LLM can run here with these options",
		],
	],
	options: [
		engineKind,
		{
			name: "json",
			flags: ["json"],
			type: "boolean",
			help: "Findings for programs",
			group: "Doctor",
		},
		...http.slice(0, 2),
		...store,
		engine.find(({ name }) => name === "nativePath")!,
		...trtllm,
		...general,
	],
	takesEngineArgs: true,
};

export const BROKER: CommandTable = {
	name: "broker",
	summary: "Forward events between publishers and subscribers that cannot reach each other (ZeroMQ)",
	usage: "dyn-worker broker [options]",
	examples: [
		["dyn-worker broker", "a broker for the processes of this host that run with --zmq-broker-enabled"],
		[
			"dyn-worker broker --tcp-host 10.0.0.5 --discovery-backend etcd",
			"one that other machines reach at 10.0.0.5, found through etcd",
		],
		["dyn-worker broker --xsub-bind tcp://127.0.0.1:7001", "on another port"],
	],
	options: [...broker, ...discovery, planes.find(({ name }) => name === "tcpHost")!, ...general],
};

export const CONFORMANCE: CommandTable = {
	name: "conformance",
	summary: "Hold a running OpenEngine server against the contract",
	usage: "dyn-worker conformance --grpc-endpoint HOST:PORT [options]",
	examples: [
		[
			"dyn-worker conformance --grpc-endpoint 127.0.0.1:50051",
			"one line per rule, with what the server did instead",
		],
		[
			"dyn-worker conformance --grpc-endpoint 127.0.0.1:50051 --role prefill",
			"a prefill server that does not say that it is one",
		],
		["dyn-worker conformance --grpc-endpoint 127.0.0.1:50051 --json", "the report for programs"],
	],
	options: [...conformance, ...general],
};

export const COMMANDS: readonly CommandTable[] = [
	RUN,
	WORKER,
	FRONTEND,
	CLUSTER,
	MOCKER,
	BROKER,
	CHAT,
	MODEL,
	DOCTOR,
	CONFORMANCE,
];

/** The table for a command line: that of the engine which it, or the environment, asks for. */
export function tableFor(
	table: CommandTable,
	argv: readonly string[],
	environment: Readonly<Record<string, string | undefined>>,
): CommandTable {
	if (!table.withTrtllm) return table;
	const [flag] = argv.flatMap((argument, i) =>
		argument === "--engine" ? [argv[i + 1]] : argument.startsWith("--engine=") ? [argument.slice(9)] : [],
	);
	const engine = flag ?? environment["DYN_ENGINE"];
	return engine === "trtllm" || engine === "double" ? { ...table, ...table.withTrtllm } : table;
}
