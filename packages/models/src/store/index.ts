// SPDX-License-Identifier: Apache-2.0
export {
	createModelStore,
	type ModelStore,
	type ModelStoreOptions,
	type StoredModel,
} from "./model-store.js";
export { DEFAULT_MODEL, PACKAGED_MODELS, type PackagedModel } from "./packaged-models.js";
export {
	createProgressRenderer,
	type OnProgress,
	type ProgressOutput,
	type PullProgress,
} from "./progress.js";
