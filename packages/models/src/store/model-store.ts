// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { resolve as absolute, basename, dirname, join } from "node:path";
import { DynError, type Logger, silentLogger } from "@dyn/common";
import { explainFileError } from "./file-errors.js";
import { withFileLock } from "./file-lock.js";
import { findInHubCache } from "./hub-cache.js";
import { PACKAGED_MODELS } from "./packaged-models.js";
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
	/** How pip is run. Default: python3 -m pip. */
	readonly pip?: readonly string[] | undefined;
	readonly onProgress?: OnProgress | undefined;
	readonly logger?: Logger | undefined;
	/** Wait before the n-th retry of a download, ms. */
	readonly retryDelayMs?: ((attempt: number) => number) | undefined;
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
	 * @throws DynError MODEL_UNAVAILABLE when it is not here and `pull` is not set (or pulling fails), OFFLINE,
	 * CHECKSUM_MISMATCH or DISK_FULL; each says what to do
	 */
	resolve(
		model: string,
		options?: { readonly pull?: boolean; readonly signal?: AbortSignal },
	): Promise<StoredModel>;
	/** Models that were pulled. */
	list(): Promise<StoredModel[]>;
	/** Deletes a pulled model. @throws DynError NOT_FOUND */
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
		if (!(await this.#stored(model)))
			throw new DynError(
				"NOT_FOUND",
				`${model} is not in ${this.directory}; list what is with: dyn-worker model list`,
			);
		await rm(this.#folder(model), { recursive: true });
	}

	async #local(model: string): Promise<StoredModel | null> {
		const info = await stat(model).catch(() => null);
		// "org/name" is a hub model unless there really is such a folder with a model in it.
		if (!info || (info.isDirectory() && !(await holdsModel(model)))) return null;
		const path = absolute(model);
		return { id: basename(path).replace(/\.gguf$/, ""), path, source: "local", bytes: await sizeOf(path) };
	}

	async #stored(model: string): Promise<StoredModel | null> {
		const folder = this.#folder(model);
		if (!(await holdsModel(folder))) return null;
		const file = PACKAGED_MODELS[model]?.fileName ?? parseHubModel(model)?.file;
		return {
			id: model,
			path: file ? join(folder, file) : folder,
			source: "store",
			bytes: await sizeOf(folder),
		};
	}

	async #cached(model: string): Promise<StoredModel | null> {
		const hub = parseHubModel(model);
		const path =
			hub && findInHubCache(this.#options.huggingFaceHome ?? join(homedir(), ".cache", "huggingface"), hub);
		return path ? { id: model, path, source: "hugging-face-cache", bytes: await sizeOf(path) } : null;
	}

	#isKnown(model: string): boolean {
		return Object.hasOwn(PACKAGED_MODELS, model) || parseHubModel(model) !== null;
	}

	#folder(model: string): string {
		return join(this.directory, folderOf(model));
	}

	/** Fetches into a folder of its own, which gets its name only when it is whole. */
	#pull(model: string, signal: AbortSignal | undefined): Promise<StoredModel> {
		const folder = this.#folder(model);
		const unfinished = join(this.directory, `.unfinished-${basename(folder)}`);
		const lock = join(this.directory, `.${basename(folder)}.lock`);
		const work = async (): Promise<StoredModel> => {
			const meanwhile = await this.#stored(model); // by the process that we waited for
			if (meanwhile) return meanwhile;
			const onProgress = this.#options.onProgress ?? (() => {});
			await mkdir(unfinished, { recursive: true });
			const packaged = PACKAGED_MODELS[model];
			if (packaged) {
				await pullWheel(packaged, unfinished, {
					pip: this.#options.pip ?? ["python3", "-m", "pip"],
					onProgress,
					signal,
				});
			} else {
				await pullHub(parseHubModel(model)!, unfinished, {
					endpoint: this.#options.huggingFaceEndpoint ?? "https://huggingface.co",
					token: this.#options.huggingFaceToken,
					retryDelayMs: this.#options.retryDelayMs,
					onProgress,
					signal,
				});
			}
			await mkdir(dirname(folder), { recursive: true });
			await rename(unfinished, folder);
			return (await this.#stored(model))!;
		};
		const waiting = () =>
			this.#logger.info("another process is pulling this model; waiting for it", { model });
		return withFileLock(lock, work, signal, waiting).catch((error) => {
			throw explainFileError(error, this.directory);
		});
	}
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

async function holdsModel(folder: string): Promise<boolean> {
	if (existsSync(join(folder, "config.json"))) return true;
	const names = await readdir(folder, { recursive: true }).catch(() => []);
	return names.some((name) => name.endsWith(".gguf"));
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
