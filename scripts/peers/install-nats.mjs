// SPDX-License-Identifier: Apache-2.0
// Installs nats-server unless it is there; prints its path.   node scripts/peers/install-nats.mjs
import { installFromDebian } from "./debian.mjs";

console.log(installFromDebian("nats-server", "nats-server"));
