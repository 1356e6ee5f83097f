// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Keys and certificates in a folder of their own. */
export interface Certificates extends AsyncDisposable {
	/** Of `ca.crt`, `other-ca.crt`, `server.crt`, `server.key`, `client.crt`, `client.key`, … */
	path(name: string): string;
	pem(name: string): Promise<string>;
}

/** An authority, a server's certificate for 127.0.0.1 and a client's, and another authority. */
export async function issueCertificates(): Promise<Certificates> {
	const folder = await mkdtemp(join(tmpdir(), "dyn-certificates-"));
	const path = (name: string) => join(folder, name);
	const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
	const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
	for (const name of ["ca", "other-ca"])
		openssl("req", "-x509", ...key, "-keyout", `${name}.key`, "-out", `${name}.crt`, "-subj", `/CN=${name}`);
	await writeFile(path("san"), "subjectAltName=IP:127.0.0.1");
	for (const name of ["server", "client"]) {
		openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
		const by = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san"];
		openssl("x509", "-req", "-in", `${name}.csr`, ...by, "-out", `${name}.crt`);
	}
	return {
		path,
		pem: (name) => readFile(path(name), "utf8"),
		[Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
	};
}
