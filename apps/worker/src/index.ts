// SPDX-License-Identifier: Apache-2.0
// The command as a library: its option tables, for documentation and completion.
export { COMMANDS, type CommandTable } from "./options/commands.js";
export { cliReference } from "./reference.js";
