// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";

// Bundles of this folder lie as deep in the repository as their sources do.
const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The built command line, what users start as `dyn-worker`. */
export const dynWorker: string = fromHere("../../worker/dist/main.js");
/** Folder of a tokenizer with a token per byte and a few merges. */
export const byteLevelTokenizer: string = fromHere("../../../packages/text/src/__fixtures__/byte-level");
/** Programs in C++ that the benches build and talk to, and how. */
export const peerSources: string = fromHere("../peers");
/** Where what they are built from and to is kept; not in the repository. */
export const peerCache: string = fromHere("../.cache");
