// SPDX-License-Identifier: Apache-2.0
// A chat over the server's own OpenAI endpoints. Model text only ever becomes text nodes.

const element = (id) => document.getElementById(id);
const [log, form, message, model, speed, stop, send] = [
	"log",
	"form",
	"message",
	"model",
	"speed",
	"stop",
	"send",
].map(element);

let conversation = [];
let running = null;

function show(role, text = "") {
	element("welcome")?.remove();
	const article = document.createElement("article");
	article.className = role;
	const body = document.createElement("span");
	body.textContent = text;
	article.append(body);
	log.append(article);
	scroll();
	return { article, body };
}

/** Follows the answer, unless the reader has scrolled up. */
function scroll() {
	if (log.scrollHeight - log.scrollTop - log.clientHeight < 200) log.scrollTop = log.scrollHeight;
}

async function loadModels() {
	try {
		const { data } = await (await fetch("/v1/models")).json();
		model.replaceChildren(...data.map(({ id }) => new Option(id, id)));
		if (data.length === 0) setTimeout(loadModels, 1000);
	} catch {
		show("error", "The server does not answer. Is it running?");
	}
}

/** The JSON objects of a server-sent event stream. */
async function* events(response) {
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		const parts = (rest + value).split("\n\n");
		rest = parts.pop();
		for (const part of parts) {
			if (!part.startsWith("data: ") || part === "data: [DONE]") continue;
			yield JSON.parse(part.slice(6));
		}
	}
}

async function answer() {
	running = new AbortController();
	stop.hidden = false;
	send.disabled = true;
	const began = performance.now();
	const { article, body } = show("assistant");
	let firstMs = 0;
	let tokens = 0;
	let text = "";
	const status = () => {
		const seconds = (performance.now() - began - firstMs) / 1000;
		const rate = tokens > 1 && seconds > 0 ? ` · ${(tokens / seconds).toFixed(0)} tokens/s` : "";
		return `${tokens} tokens${rate} · first after ${firstMs.toFixed(0)} ms`;
	};
	try {
		const response = await fetch("/v1/chat/completions", {
			method: "POST",
			headers: { "content-type": "application/json" },
			signal: running.signal,
			body: JSON.stringify({
				model: model.value,
				messages: conversation,
				temperature: Number(element("temperature").value),
				max_tokens: Number(element("max-tokens").value),
				stream: true,
				stream_options: { include_usage: true },
			}),
		});
		if (!response.ok) throw new Error((await response.json()).error?.message ?? `status ${response.status}`);
		for await (const event of events(response)) {
			if (event.error) throw new Error(event.error.message);
			if (event.usage) tokens = event.usage.completion_tokens;
			const piece = event.choices[0]?.delta?.content;
			if (!piece) continue;
			if (firstMs === 0) firstMs = performance.now() - began;
			tokens++;
			text += piece;
			body.textContent = text;
			speed.textContent = status();
			scroll();
		}
	} catch (error) {
		if (error.name !== "AbortError") show("error", error.message);
	}
	if (text) conversation.push({ role: "assistant", content: text });
	else article.remove();
	const note = document.createElement("small");
	note.textContent = status();
	article.append(note);
	speed.textContent = "";
	stop.hidden = true;
	send.disabled = false;
	running = null;
	message.focus();
}

form.addEventListener("submit", (event) => {
	event.preventDefault();
	const text = message.value.trim();
	if (!text || running) return;
	message.value = "";
	conversation.push({ role: "user", content: text });
	show("user", text);
	answer();
});
message.addEventListener("keydown", (event) => {
	if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
		event.preventDefault();
		form.requestSubmit();
	}
});
stop.addEventListener("click", () => running?.abort());
document.addEventListener("keydown", (event) => {
	if (event.key === "Escape") running?.abort();
});
element("clear").addEventListener("click", () => {
	running?.abort();
	conversation = [];
	log.replaceChildren();
	message.focus();
});
loadModels();
