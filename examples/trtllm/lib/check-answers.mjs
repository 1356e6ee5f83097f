// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";

/** Time in which what one process tells another must have arrived, ms. */
const SOON_MS = 15_000;
const PROMPT = "The man went to the house and saw the water. ".repeat(12);

/**
 * Asks a served story and looks at which of its workers answered.
 * @param {string} address of the frontend
 * @param {string} model
 * @param {{ name: string, status: string }[]} workers
 * @param {boolean} refusesChoices TensorRT-LLM refuses several choices where prefill and decode are apart
 */
export async function checkAnswers(address, model, workers, refusesChoices) {
	const chat = await post(`${address}/v1/chat/completions`, {
		model,
		messages: [{ role: "user", content: "What is the time?" }],
		max_tokens: 12,
		temperature: 0,
	});
	assert.equal(chat.status, 200, await chat.clone().text());
	const {
		choices: [answer],
		usage,
	} = await chat.json();
	assert.ok(answer.message.content.length > 0);
	assert.ok(usage.completion_tokens >= 1 && usage.completion_tokens <= 12);

	const whole = await completion(address, model, {});
	assert.equal(await streamed(address, model), whole.choices[0].text);

	const several = await ask(address, model, { n: 2, temperature: 1, seed: 7 });
	if (refusesChoices) assert.equal(several.status, 400);
	else {
		const { choices } = await several.json();
		assert.deepEqual(choices.map(({ index }) => index).sort(), [0, 1]);
		assert.ok(choices.every(({ text }) => text.length > 0));
	}

	let asked = 0;
	await until("every worker has had a request", async () => {
		const counts = await Promise.all(workers.map(requestsOf));
		if (counts.every((count) => count > 0)) return true;
		// A router that knows what is cached would send the same prompt to the same worker.
		await completion(address, model, { prompt: numbers(++asked) });
		return false;
	});
}

/** About 200 tokens that are those of no other seed. */
const numbers = (seed) => Array.from({ length: 50 }, (_, i) => seed * 1000 + i).join(" ");

/**
 * Prompts that begin alike go to one worker when the router hears its KV events.
 * @param {string} address
 * @param {string} model
 * @param {{ name: string, status: string }[]} workers those among which it chooses
 */
export async function checkPrefixRouting(address, model, workers) {
	const stored = async () => {
		const text = await (await fetch(`${address}/metrics`)).text();
		const samples = text.matchAll(/^dynamo_component_kv_cache_events_applied\{(.*)\} (\d+)$/gm);
		return [...samples]
			.filter(([, labels]) => labels.includes('event_type="stored"') && labels.includes('status="ok"'))
			.reduce((sum, [, , count]) => sum + Number(count), 0);
	};
	for (const seed of [901, 902, 903, 904]) {
		const before = await stored();
		const homes = [await served(seed)];
		await until("the router has heard of the new blocks", async () => (await stored()) > before);
		for (let i = 0; i < 3; i++) homes.push(await served(seed));
		assert.equal(new Set(homes).size, 1, `prompt ${seed} went to ${homes}`);
	}

	/** Name of the worker that a prompt went to. */
	async function served(seed) {
		const before = await Promise.all(workers.map(requestsOf));
		await completion(address, model, { prompt: numbers(seed) });
		const after = await Promise.all(workers.map(requestsOf));
		return workers.find((_, i) => after[i] > before[i])?.name;
	}
}

/** Requests that a worker has been sent. */
export async function requestsOf({ status }) {
	const text = await (await fetch(`${status}/metrics`)).text();
	const samples = text.matchAll(
		/^dynamo_component_requests_total\{.*dynamo_endpoint="generate".*\} (\d+)$/gm,
	);
	return [...samples].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function completion(address, model, more) {
	const response = await ask(address, model, more);
	assert.equal(response.status, 200, await response.clone().text());
	return response.json();
}

function ask(address, model, more) {
	const body = { model, prompt: PROMPT, max_tokens: 12, temperature: 0, ...more };
	return post(`${address}/v1/completions`, body);
}

/** The text of a stream of several events, of which the last is [DONE]. */
async function streamed(address, model) {
	const text = await (await ask(address, model, { stream: true })).text();
	const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data);
	assert.equal(events.pop(), "[DONE]", text);
	assert.ok(events.length > 1, text);
	return events.map((data) => JSON.parse(data).choices[0]?.text ?? "").join("");
}

export const post = (url, body) =>
	fetch(url, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify(body),
	});

/** Asks again until it is true; what other processes know offers no event here. */
export async function until(what, holds) {
	const began = performance.now();
	while (!(await holds())) {
		assert.ok(performance.now() - began < SOON_MS, `not within ${SOON_MS / 1000} s: ${what}`);
		await delay(50);
	}
}
