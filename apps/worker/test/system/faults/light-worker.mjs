// SPDX-License-Identifier: Apache-2.0
// A worker whose answers cost nothing, for thousands of streams: the token at position p of a sequence is FIRST + p modulo
// TOKENS, so whoever takes a request over continues it. A token every `seed` ms of the request. Writes what happens to
// requests, a line each: "begin <request id>", on SIGUSR2 "taken <request id> <tokens that were taken of it>", and "abort <request id> <monotonic ns, the same in every process>".
// The "previous" version has no multiplexed connections, the "next" one says things that nobody knows (next-version.mjs).
// light-worker.mjs (file <folder> | etcd <endpoint>) [previous | next]
import { createRuntime } from "@dyn/runtime";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { createTrtllmWorker } from "@dyn/trtllm";

const FIRST = 300;
const TOKENS = 500;

async function openStore(kind, where) {
	if (kind === "file") return (await import("@dyn/runtime/file")).createFileStore({ directory: where });
	return (await import("@dyn/runtime/etcd")).createEtcdStore({ endpoints: [where] });
}

function pause(ms, signal) {
	return new Promise((resolve) => {
		const end = () => {
			clearTimeout(timer);
			signal.removeEventListener("abort", end);
			resolve();
		};
		const timer = setTimeout(end, ms);
		signal.addEventListener("abort", end);
	});
}

let lines = "";
/** The lines of one turn are written together: a write for each would cost as much as what is measured. */
function say(line) {
	if (lines === "") {
		setImmediate(() => {
			process.stdout.write(lines);
			lines = "";
		});
	}
	lines += `${line}\n`;
}

/** Tokens that were taken of every running request, by its id. */
const taken = new Map();
process.on("SIGUSR2", () => {
	for (const [id, count] of taken) say(`taken ${id} ${count}`);
	say("taken all");
});

const light = {
	name: "light",
	async *generate(request, { id, signal }) {
		say(`begin ${id}`);
		signal.addEventListener("abort", () => say(`abort ${id} ${process.hrtime.bigint()}`));
		const promptTokens = request.tokenIds.length;
		const paceMs = request.sampling.seed ?? 0;
		const maxTokens = request.stop.maxTokens ?? 1;
		signal.addEventListener("abort", () => taken.delete(id));
		for (let count = 1; count <= maxTokens; count++) {
			const isLast = count === maxTokens;
			if (paceMs > 0) await pause(paceMs, signal);
			if (signal.aborted) return;
			yield {
				index: 0,
				tokenIds: [FIRST + ((promptTokens + count) % TOKENS)],
				logprobs: null,
				finishReason: isLast ? "length" : null,
				stopTokenId: null,
				usage: isLast ? { promptTokens, completionTokens: count, cachedTokens: 0 } : null,
			};
			taken.set(id, count);
		}
		taken.delete(id);
	},
};

const [kind, where, version] = process.argv.slice(2);
const store = await openStore(kind, where);
const runtime = await createRuntime({
	discovery: version === "next" ? (await import("./next-version.mjs")).withUnknownFields(store) : store,
	requestPlanes: [createTcpPlane({ maxRunning: 100_000, multiplexed: version !== "previous" })],
});
await createTrtllmWorker({
	runtime,
	servedModelName: "light",
	handler: () => light,
	engineArgs: { kv_cache_config: { num_blocks: 256 }, threads: 1 },
});
say("light is served as a worker");
