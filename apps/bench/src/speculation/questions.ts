// SPDX-License-Identifier: Apache-2.0
import { encodeChat, loadChatTemplate, loadTokenizer } from "@dyn/text";

/** Questions as the model's chat template writes them. */
export async function chatPrompts(model: string, questions: readonly string[]): Promise<number[][]> {
	const [tokenizer, template] = await Promise.all([loadTokenizer(model), loadChatTemplate(model)]);
	const prompts: number[][] = [];
	for (const content of questions) {
		const chat = { messages: [{ role: "user", content }], addGenerationPrompt: true };
		prompts.push([...(await encodeChat(tokenizer, template, chat)).tokenIds]);
	}
	return prompts;
}
