// SPDX-License-Identifier: Apache-2.0
// Installs etcd unless it is there; prints its path.   node scripts/peers/install-etcd.mjs
import { installFromDebian } from "./debian.mjs";

console.log(installFromDebian("etcd", "etcd-server"));
