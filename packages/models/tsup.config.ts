// SPDX-License-Identifier: Apache-2.0
import { libraryConfig } from "../../tsup.shared.js";

export default libraryConfig({
	index: "src/index.ts",
	"store/index": "src/store/index.ts",
	"testing/index": "src/testing/index.ts",
});
