// SPDX-License-Identifier: Apache-2.0
// Installs Python's gRPC and protobuf from PyPI into a virtual environment of their own, unless they are there; prints the
// folder.   node scripts/peers/install-grpcio.mjs [folder]      (seconds, 70 MB)
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { GRPCIO_FOLDER } from "./grpcio-folder.mjs";
import { ensureVirtualEnvironment } from "./virtual-environment.mjs";

const folder = resolve(process.argv[2] ?? GRPCIO_FOLDER);
ensureVirtualEnvironment(folder, fileURLToPath(new URL("grpcio.requirements.txt", import.meta.url)));
console.log(folder);
