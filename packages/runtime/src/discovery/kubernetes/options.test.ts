// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createKubernetesStore } from "./kubernetes-store.js";
import { fromServiceAccount } from "./options.js";

let directory: string;
beforeAll(async () => {
	directory = await mkdtemp(join(tmpdir(), "service-account-"));
	await writeFile(join(directory, "namespace"), "serving\n");
});
afterAll(() => rm(directory, { recursive: true }));

const inPod = { KUBERNETES_SERVICE_HOST: "10.96.0.1", POD_NAME: "worker-0", POD_UID: "uid-0" };

test("a pod's environment and its service account are all that is needed", async () => {
	expect(await fromServiceAccount({ ...inPod, KUBERNETES_SERVICE_PORT: "6443" }, directory)).toEqual({
		apiServer: "https://10.96.0.1:6443",
		namespace: "serving",
		podName: "worker-0",
		podUid: "uid-0",
		mode: "pod",
		tokenFile: join(directory, "token"),
		caFile: join(directory, "ca.crt"),
	});
});

test("what the environment says of namespace, container and IPv6 is used", async () => {
	const environment = {
		...inPod,
		KUBERNETES_SERVICE_HOST: "fd00::1",
		POD_NAMESPACE: "other",
		DYN_KUBE_DISCOVERY_MODE: "container",
		CONTAINER_NAME: "engine-0",
		DYN_MAIN_CONTAINER_NAME: " engine-0 ",
	};
	expect(await fromServiceAccount(environment, join(directory, "missing"))).toMatchObject({
		apiServer: "https://[fd00::1]:443",
		namespace: "other",
		mode: "container",
		containerName: "engine-0",
		mainContainerName: "engine-0",
	});
});

test.each([
	["KUBERNETES_SERVICE_HOST", { ...inPod, KUBERNETES_SERVICE_HOST: undefined }],
	["POD_NAME", { ...inPod, POD_NAME: "" }],
	["POD_UID", { ...inPod, POD_UID: undefined }],
	["CONTAINER_NAME", { ...inPod, DYN_KUBE_DISCOVERY_MODE: "container" }],
	["DYN_KUBE_DISCOVERY_MODE", { ...inPod, DYN_KUBE_DISCOVERY_MODE: "node" }],
])("the error names %s", async (name, environment) => {
	await expect(fromServiceAccount(environment, directory)).rejects.toThrow(`[INVALID_ARGUMENT] ${name} is`);
});

test("a namespace that nobody names is an error", async () => {
	await expect(fromServiceAccount(inPod, join(directory, "missing"))).rejects.toThrow(/set POD_NAMESPACE/);
});

test.each([
	["apiServer", { apiServer: "kubernetes" }],
	["podUid", { podUid: "" }],
	["containerName", { mode: "container" as const }],
])("a store refuses options without %s", async (param, wrong) => {
	const options = { apiServer: "http://127.0.0.1:1", namespace: "n", podName: "p", podUid: "u", ...wrong };
	await expect(createKubernetesStore(options)).rejects.toMatchObject({
		code: "INVALID_ARGUMENT",
		details: { param },
	});
});
