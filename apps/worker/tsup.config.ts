// SPDX-License-Identifier: Apache-2.0
import { libraryConfig } from "../../tsup.shared.js";

export default libraryConfig({ main: "src/main.ts", index: "src/index.ts" });
