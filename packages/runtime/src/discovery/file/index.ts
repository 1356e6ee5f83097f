// SPDX-License-Identifier: Apache-2.0
export { createFileStore, type FileStoreOptions } from "./file-store.js";
