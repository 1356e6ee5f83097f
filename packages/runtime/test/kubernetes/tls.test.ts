// SPDX-License-Identifier: Apache-2.0
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { KubernetesApiDouble } from "../kubernetes-api-double/api-server.js";
import { NAMESPACE } from "../kubernetes-api-double/cluster.js";
import { at, directory, INSTANCE, startProcess, useKubernetes } from "../kubernetes-fixture.js";

useKubernetes();

describe("TLS", { timeout: 20_000 }, () => {
	const fixture = (name: string) =>
		readFile(new URL(`../kubernetes-api-double/__fixtures__/${name}`, import.meta.url), "utf8");

	test("the server's certificate is checked with caFile", async () => {
		const cert = await fixture("server-certificate.pem");
		const secure = new KubernetesApiDouble({ cert, key: await fixture("server-key.pem") });
		await secure.start();
		try {
			const caFile = join(directory, "ca.crt");
			await writeFile(caFile, cert);
			const trusting = await startProcess("worker-0", "uid-0", { apiServer: secure.url, caFile });
			await trusting.store.put(INSTANCE, at("10.0.0.1:9000"), trusting.lease);
			const wary = await startProcess("worker-1", "uid-1", { apiServer: secure.url });
			await expect(wary.store.put(INSTANCE, at("10.0.0.1:9000"), wary.lease)).rejects.toThrow(
				/self-signed certificate/,
			);
			expect(secure.objects.list("dynamoworkermetadatas", NAMESPACE)).toHaveLength(1);
			await trusting.store.close();
			await wary.store.close();
		} finally {
			await secure.stop();
		}
	});
});
