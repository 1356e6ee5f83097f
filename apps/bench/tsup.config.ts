// SPDX-License-Identifier: Apache-2.0
import { libraryConfig } from "../../tsup.shared.js";

export default libraryConfig({ main: "src/main.ts", "engine-driver": "src/engine-driver.ts" });
