// SPDX-License-Identifier: Apache-2.0
// Needs the package etcd3, which is loaded when a store is made.
export { createEtcdStore } from "./etcd-store.js";
export type { EtcdStoreOptions, EtcdTls } from "./options.js";
