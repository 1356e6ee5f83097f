// SPDX-License-Identifier: Apache-2.0
// Installs stock Dynamo's frontend and mocker from PyPI into a virtual environment of their own, unless they are there;
// prints the folder.   node scripts/peers/install-dynamo.mjs [folder]      (about a minute, 690 MB)
// Following dependencies would add aisimulate, of which PyPI has only a stub that cannot be built; nothing but the --ais-*
// flags needs it.
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DYNAMO_FOLDER } from "./dynamo-folder.mjs";
import { ensureVirtualEnvironment } from "./virtual-environment.mjs";

const folder = resolve(process.argv[2] ?? DYNAMO_FOLDER);
ensureVirtualEnvironment(folder, fileURLToPath(new URL("dynamo.requirements.txt", import.meta.url)));
console.log(folder);
