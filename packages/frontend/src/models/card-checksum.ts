// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import type { ModelCard } from "@dyn/protocols";

/**
 * Equal for cards whose instances can stand in for each other: the same name, source, files, context, block size and role.
 * These are the inputs of Dynamo's `mdcsum`, by which it keeps unequal workers of one model apart; its value never
 * travels, so this one has a form of its own. A card without files is of this machine, where a path says as much.
 */
export function cardChecksum(card: ModelCard): string {
	const { files } = card;
	const content = files
		? [files.config, files.tokenizer, files.tokenizerConfig, files.chatTemplate, files.generationConfig].map(
				(file) => file?.checksum ?? null,
			)
		: [card.tokenizerPath, card.chatTemplatePath];
	const { name, source, contextLength, kvBlockSize, workerType, needs } = card;
	const inputs = [name, source, content, contextLength, kvBlockSize, workerType, needs];
	return createHash("sha256").update(JSON.stringify(inputs)).digest("hex");
}
