// SPDX-License-Identifier: Apache-2.0
// Discovery in Kubernetes, without a client library: `@dyn/runtime/kubernetes`.
export { kubernetesInstanceId } from "./instance-id.js";
export { createKubernetesStore } from "./kubernetes-store.js";
export { fromServiceAccount, type KubernetesStoreOptions } from "./options.js";
