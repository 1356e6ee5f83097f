// SPDX-License-Identifier: Apache-2.0
import type { Fleet } from "./fleet.js";

export interface Churn {
	readonly killed: number;
	readonly added: number;
	/** Resolves when the change under way is done; rejects when one failed. */
	stop(): Promise<void>;
}

/** Every `periodSeconds` in turn kills the newest worker of `fleet` as a power cut would, and adds one. */
export function churn(fleet: Fleet, periodSeconds: number, tell: (what: string) => void): Churn {
	let killed = 0;
	let added = 0;
	let failure: unknown = null;
	let change: Promise<void> = Promise.resolve();
	const next = async () => {
		if (killed === added) {
			const victim = fleet.workers.at(-1)!;
			killed++;
			tell(`${victim.name} killed`);
			await victim.kill();
		} else {
			added++;
			tell(`${(await fleet.addWorker()).name} added`);
		}
	};
	const timer = setInterval(() => {
		change = change.then(next).catch((error) => {
			failure ??= error;
		});
	}, periodSeconds * 1000);
	return {
		get killed() {
			return killed;
		},
		get added() {
			return added;
		},
		async stop() {
			clearInterval(timer);
			await change;
			if (failure) throw failure;
		},
	};
}
