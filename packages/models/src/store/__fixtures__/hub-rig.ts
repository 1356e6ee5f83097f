// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { createModelStore, type ModelStore, type ModelStoreOptions, type StoredModel } from "../model-store.js";
import { FakeHub, type Misbehaviour, sha256 } from "./fake-hub.js";

export const WEIGHTS = "model.safetensors";
export const weights: Buffer = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251));

export const pulledWeights = (path: string): Buffer => readFileSync(join(path, WEIGHTS));

/** For every test of a file: a hub with the model org/name, and a store that may fetch from it. */
export class HubRig {
	hub!: FakeHub;
	folder!: string;
	/** The store's, in `folder`. */
	directory!: string;

	constructor() {
		beforeEach(async () => {
			this.folder = await mkdtemp(join(tmpdir(), "dyn-hub-"));
			this.directory = join(this.folder, "models");
			this.hub = await new FakeHub().start();
			this.hub.files.set("config.json", Buffer.from('{"model_type":"llama"}'));
			this.hub.files.set(WEIGHTS, weights);
			this.hub.checksums.set(WEIGHTS, sha256(weights));
		});
		afterEach(async () => {
			await this.hub.close();
			await rm(this.folder, { recursive: true });
		});
	}

	store(options: ModelStoreOptions = {}): ModelStore {
		return createModelStore({
			directory: this.directory,
			huggingFaceHome: join(this.folder, "hf"),
			huggingFaceEndpoint: this.hub.endpoint,
			retryDelayMs: () => 1,
			...options,
		});
	}

	pull(options: ModelStoreOptions = {}, signal?: AbortSignal): Promise<StoredModel> {
		return this.store(options).resolve("org/name", { pull: true, ...(signal ? { signal } : {}) });
	}

	/** What the hub does instead of serving the weights, one step a request. */
	misbehave(...steps: Misbehaviour[]): void {
		this.hub.misbehaviours.set(WEIGHTS, steps);
	}

	weightRequests(): string[] {
		return this.hub.requests.filter((line) => line.startsWith(WEIGHTS));
	}

	/** Drops the connection whenever one of these numbers of bytes has arrived. */
	dropAt(...bytes: number[]): ModelStoreOptions {
		return {
			onProgress: ({ file, receivedBytes }) => {
				if (file === WEIGHTS && bytes.includes(receivedBytes)) this.hub.drop();
			},
		};
	}
}
