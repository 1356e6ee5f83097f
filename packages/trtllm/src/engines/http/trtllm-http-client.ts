// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { type HttpCallOptions, HttpConnection, type JsonObject } from "./http-connection.js";
import { type IterationStats, iterationStats } from "./iteration-stats.js";
import {
	type EmbeddingsAnswer,
	type EmbeddingsRequest,
	type ImageAnswer,
	type ImageRequest,
	readEmbeddings,
	readImages,
	readVideoJob,
	type VideoJob,
	type VideoRequest,
} from "./media-messages.js";

/** Largest media file that is read. */
const MAX_MEDIA_BYTES = 1 << 30;

/** Plain calls to `trtllm-serve`'s HTTP server: its status, and what its servers for embeddings and diffusion do. All throw DynError. */
export class TrtllmHttpClient {
	readonly #connection: HttpConnection;

	private constructor(connection: HttpConnection) {
		this.#connection = connection;
	}

	/** @param endpoint `http://host:port` */
	static create(endpoint: string): TrtllmHttpClient {
		return new TrtllmHttpClient(new HttpConnection(endpoint));
	}

	/** On connections that are there already; whoever made them closes them. */
	static over(connection: HttpConnection): TrtllmHttpClient {
		return new TrtllmHttpClient(connection);
	}

	/** Resolves when the engine is well. @throws DynError UNAVAILABLE when it is not, or not there */
	async health(options?: HttpCallOptions): Promise<void> {
		await this.#connection.bytes("GET", "/health", undefined, options);
	}

	async version(options?: HttpCallOptions): Promise<string> {
		const { version } = object(
			await this.#connection.json("GET", "/version", undefined, options),
			"/version",
		);
		return typeof version === "string" ? version : "of an unknown version";
	}

	/** Names of the models that it serves. */
	async models(options?: HttpCallOptions): Promise<readonly string[]> {
		const { data } = object(
			await this.#connection.json("GET", "/v1/models", undefined, options),
			"/v1/models",
		);
		if (!Array.isArray(data)) throw new DynError("INTERNAL", "the server's /v1/models has no list of models");
		return data.map((model) => String(object(model, "/v1/models")["id"]));
	}

	/** Iterations since the last call by anybody: there must be one reader only. */
	async metrics(options?: HttpCallOptions): Promise<readonly IterationStats[]> {
		return iterationStats(await this.#connection.json("GET", "/metrics", undefined, options));
	}

	/** One vector per input, in its order. */
	async embeddings(request: EmbeddingsRequest, options?: HttpCallOptions): Promise<EmbeddingsAnswer> {
		const body = { ...request, encoding_format: "base64" };
		return readEmbeddings(
			await this.#connection.json("POST", "/v1/embeddings", body, { maxBytes: MAX_MEDIA_BYTES, ...options }),
		);
	}

	/** Waits for the pictures. */
	async generateImages(request: ImageRequest, options?: HttpCallOptions): Promise<ImageAnswer> {
		return readImages(
			await this.#connection.json("POST", "/v1/images/generations", request, {
				maxBytes: MAX_MEDIA_BYTES,
				...options,
			}),
		);
	}

	/** Begins a video and returns its job; ask `video` until it is done. */
	async createVideo(request: VideoRequest, options?: HttpCallOptions): Promise<VideoJob> {
		return readVideoJob(await this.#connection.json("POST", "/v1/videos", request, options));
	}

	/** @throws DynError NOT_FOUND */
	async video(id: string, options?: HttpCallOptions): Promise<VideoJob> {
		return readVideoJob(await this.#connection.json("GET", videoPath(id), undefined, options));
	}

	/** The file. @throws DynError NOT_FOUND */
	async videoContent(id: string, options?: HttpCallOptions): Promise<Buffer> {
		return this.#connection.bytes("GET", `${videoPath(id)}/content`, undefined, {
			maxBytes: MAX_MEDIA_BYTES,
			...options,
		});
	}

	async deleteVideo(id: string, options?: HttpCallOptions): Promise<void> {
		await this.#connection.bytes("DELETE", videoPath(id), undefined, options);
	}

	close(): void {
		this.#connection.close();
	}
}

const videoPath = (id: string): string => `/v1/videos/${encodeURIComponent(id)}`;

function object(value: unknown, path: string): JsonObject {
	if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
	throw new DynError("INTERNAL", `the server's ${path} is no object`);
}
