// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** `POST /v1/embeddings` of `trtllm-serve embeddings`. It refuses `dimensions`. */
export interface EmbeddingsRequest {
	readonly model: string;
	readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
}

export interface EmbeddingsAnswer {
	readonly embeddings: readonly Float32Array[];
	readonly promptTokens: number;
}

/** `POST /v1/images/generations` of a VisualGen server; it refuses fields that it does not know. */
export interface ImageRequest {
	readonly prompt: string;
	readonly model?: string;
	readonly n?: number;
	/** `1024x768`. */
	readonly size?: string;
	readonly response_format?: "url" | "b64_json";
	readonly seed?: number;
	readonly num_inference_steps?: number;
	readonly guidance_scale?: number;
	readonly negative_prompt?: string;
}

export interface ImageAnswer {
	readonly images: readonly ({ readonly url: string } | { readonly bytes: Buffer })[];
}

/** A picture, film or sound to begin with, base64. */
export interface MediaReference {
	readonly content: string;
	readonly role?: string;
}

/** `POST /v1/videos`. */
export interface VideoRequest {
	readonly prompt: string;
	readonly model?: string;
	readonly format?: "mp4" | "avi" | "auto" | "safetensors" | "pt";
	readonly seed?: number;
	readonly size?: string;
	readonly width?: number;
	readonly height?: number;
	readonly num_frames?: number;
	readonly seconds?: number;
	readonly frame_rate?: number;
	readonly num_inference_steps?: number;
	readonly guidance_scale?: number;
	readonly negative_prompt?: string;
	readonly image_reference?: readonly MediaReference[];
	readonly video_reference?: readonly MediaReference[];
	readonly audio_reference?: readonly MediaReference[];
	readonly extra_params?: Readonly<Record<string, unknown>>;
}

export interface VideoJob {
	readonly id: string;
	/** The server's word: `queued`, `in_progress`, `completed`, `failed`. */
	readonly status: string;
	/** Why it failed. */
	readonly error: string | null;
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws DynError INTERNAL for what is no such answer */
export function readEmbeddings(answer: unknown): EmbeddingsAnswer {
	const { data, usage } = fields(answer, "embeddings");
	const items = list(data, "embeddings").map((item) => fields(item, "embeddings"));
	const inOrder = [...items].sort((a, b) => Number(a["index"]) - Number(b["index"]));
	return {
		embeddings: inOrder.map(({ embedding }) => vector(embedding)),
		promptTokens: Number(fields(usage ?? {}, "embeddings")["prompt_tokens"] ?? 0),
	};
}

/** @throws DynError INTERNAL for what is no such answer */
export function readImages(answer: unknown): ImageAnswer {
	return {
		images: list(fields(answer, "images")["data"], "images").map((item) => {
			const { url, b64_json: base64 } = fields(item, "images");
			if (typeof base64 === "string") return { bytes: Buffer.from(base64, "base64") };
			if (typeof url === "string") return { url };
			throw malformed("images");
		}),
	};
}

/** @throws DynError INTERNAL for what is no such answer */
export function readVideoJob(answer: unknown): VideoJob {
	const { id, status, error } = fields(answer, "video");
	if (typeof id !== "string" || typeof status !== "string") throw malformed("video");
	const reason = typeof error === "object" && error !== null ? (error as Fields)["message"] : error;
	return { id, status, error: reason === null || reason === undefined ? null : String(reason) };
}

/** Little-endian floats as base64, or a list of numbers from a server that knows no base64. */
function vector(embedding: unknown): Float32Array {
	if (Array.isArray(embedding) && embedding.every((value) => typeof value === "number"))
		return Float32Array.from(embedding);
	if (typeof embedding !== "string") throw malformed("embeddings");
	const bytes = Buffer.from(embedding, "base64");
	if (bytes.length % 4 !== 0) throw malformed("embeddings");
	return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(i * 4));
}

function fields(value: unknown, what: string): Fields {
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
	throw malformed(what);
}

function list(value: unknown, what: string): readonly unknown[] {
	if (Array.isArray(value)) return value;
	throw malformed(what);
}

const malformed = (what: string) =>
	new DynError("INTERNAL", `TensorRT-LLM's server gave an answer about ${what} that makes no sense`);
