// SPDX-License-Identifier: Apache-2.0
import { libraryConfig } from "../../tsup.shared.js";

export default libraryConfig();
