// SPDX-License-Identifier: Apache-2.0

/** A key of discovery as etcd has it. */
export interface EtcdRecord {
	readonly key: string;
	readonly value: string;
	readonly lease: string;
}

const inBase64 = (text: string) => Buffer.from(text).toString("base64");
const fromBase64 = (text = "") => Buffer.from(text, "base64").toString();

/** What an administrator would do with etcdctl, in JSON over HTTP. */
export class EtcdRecords {
	readonly #endpoint: string;

	/** @param endpoint "http://host:port" */
	constructor(endpoint: string) {
		this.#endpoint = endpoint;
	}

	/** Everything under a prefix. */
	async list(prefix: string): Promise<readonly EtcdRecord[]> {
		const last = prefix.length - 1;
		const end = prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
		const { kvs = [] } = (await this.#ask("kv/range", {
			key: inBase64(prefix),
			range_end: inBase64(end),
		})) as { readonly kvs?: readonly EtcdRecord[] };
		return kvs.map(({ key, value, lease }) => ({ key: fromBase64(key), value: fromBase64(value), lease }));
	}

	async put({ key, value, lease }: EtcdRecord): Promise<void> {
		await this.#ask("kv/put", { key: inBase64(key), value: inBase64(value), lease });
	}

	async revoke(lease: string): Promise<void> {
		await this.#ask("lease/revoke", { ID: lease });
	}

	/** Forgets all that was before now: a watch that wants to go on from there cannot. */
	async compact(): Promise<void> {
		const { header } = (await this.#ask("kv/range", { key: inBase64("x") })) as {
			readonly header: { readonly revision: string };
		};
		await this.#ask("kv/compaction", { revision: header.revision, physical: true });
	}

	async #ask(path: string, question: object): Promise<unknown> {
		const response = await fetch(`${this.#endpoint}/v3/${path}`, {
			method: "POST",
			body: JSON.stringify(question),
		});
		if (!response.ok) throw new Error(`etcd's ${path}: ${await response.text()}`);
		return response.json();
	}
}
