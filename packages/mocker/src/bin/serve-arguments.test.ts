// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { readServeArguments } from "./serve-arguments.js";

const OPENENGINE = ["--grpc", "--grpc-protocol", "openengine"];
const read = (argv: readonly string[], yaml = "") => readServeArguments([...argv, ...OPENENGINE], () => yaml);

it("reads what a simulated engine can have", () => {
	const argv = [
		"serve",
		"org/model",
		"--host",
		"127.0.0.1",
		"--port",
		"7",
		"--max_seq_len",
		"512",
		"--max_batch_size",
		"4",
	];
	expect(read([...argv, "--tp_size", "2", "--enable_attention_dp"])).toMatchObject({
		host: "127.0.0.1",
		port: 7,
		tellsContextLength: true,
		engine: { modelName: "org/model", maxModelLen: 512, maxNumSeqs: 4, dpSize: 2, maxNumBatchedTokens: 8192 },
	});
	expect(read(["org/model"])).toMatchObject({ host: "localhost", port: 8000, tellsContextLength: false });
});

it("lets the file win over flags", () => {
	const yaml = "max_batch_size: 8\nkv_cache_config: { tokens_per_block: 16, max_tokens: 1000 }\n";
	const { engine } = read(["m", "--max_batch_size", "4", "--config", "x.yaml"], yaml);
	expect(engine).toMatchObject({ maxNumSeqs: 8, blockSize: 16, numGpuBlocks: 63 });
});

it("publishes KV events where the file says", () => {
	const yaml = (endpoint: string, on = true) =>
		`kv_cache_config: { kv_events_config: { enable_kv_cache_events: ${on}, endpoint: "${endpoint}" } }`;
	const kvEvents = (text: string) => read(["m", "--config", "x.yaml"], text).kvEvents;
	expect(kvEvents(yaml("tcp://127.0.0.1:5557"))).toEqual({ host: "127.0.0.1", basePort: 5557 });
	expect(kvEvents(yaml("tcp://127.0.0.1:5557", false))).toBeNull();
	expect(() => kvEvents(yaml("5557"))).toThrow("kv_events_config.endpoint");
});

describe("refuses", () => {
	it.each<[string, readonly string[]]>([
		["an option that it does not know", ["m", "--kv_block_size", "32"]],
		["no model", []],
		["two models", ["m", "n"]],
		["a number that is none", ["m", "--max_seq_len", "many"]],
	])("%s", (_, argv) => {
		expect(() => read(argv)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
	});

	it("a protocol without gRPC, and one that there is not", () => {
		const bare = (argv: readonly string[]) => () => readServeArguments(argv, () => "");
		expect(bare(["m", "--grpc-protocol", "openengine"])).toThrow("requires --grpc");
		expect(bare(["m", "--grpc", "--grpc-protocol", "x"])).toThrow("is not one of");
	});
});

it("speaks HTTP without --grpc, and SMG unless told otherwise with it", () => {
	expect(readServeArguments(["m"], () => "").protocol).toBe("http");
	expect(readServeArguments(["m", "--grpc"], () => "").protocol).toBe("smg");
	expect(read(["m"]).protocol).toBe("openengine");
});
