// SPDX-License-Identifier: Apache-2.0

/** What the process has used; answer to {"op": "cpu"}. */
export function ownUsage(): { readonly cpuMs: number; readonly rssMiB: number } {
	const { user, system } = process.cpuUsage();
	return { cpuMs: (user + system) / 1000, rssMiB: process.memoryUsage.rss() / 2 ** 20 };
}
