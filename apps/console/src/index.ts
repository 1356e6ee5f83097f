// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";

/** Folder of the page's files; serve it at "/". */
export const consoleDirectory: string = fileURLToPath(new URL("../public/", import.meta.url));
