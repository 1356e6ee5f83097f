// SPDX-License-Identifier: Apache-2.0
import { homedir } from "node:os";
import { join } from "node:path";

/** Where Python's gRPC is installed unless told otherwise. */
export const GRPCIO_FOLDER = join(homedir(), ".cache", "dyn", "peers", "grpcio");
