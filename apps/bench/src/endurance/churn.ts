// SPDX-License-Identifier: Apache-2.0
import type { Fleet } from "./fleet.js";

export interface Churn {
	readonly killed: number;
	readonly added: number;
	/** Why the first change that failed did, or null. */
	readonly failure: string | null;
	/** Resolves when the change under way is done. */
	stop(): Promise<void>;
}

/** Every `periodSeconds` in turn kills the newest worker of `fleet` and adds one. */
export function churn(fleet: Fleet, periodSeconds: number, tell: (what: string) => void): Churn {
	let killed = 0;
	let added = 0;
	let failure: string | null = null;
	let change: Promise<void> = Promise.resolve();
	const next = async () => {
		if (killed === added) {
			const victim = fleet.workers.at(-1)!;
			killed++;
			tell(`${victim.name} killed`);
			await fleet.kill(victim);
		} else {
			added++;
			tell(`${(await fleet.addWorker()).name} added`);
		}
	};
	const timer = setInterval(() => {
		change = change.then(next).catch((error) => {
			failure ??= error instanceof Error ? error.message : String(error);
		});
	}, periodSeconds * 1000);
	return {
		get killed() {
			return killed;
		},
		get added() {
			return added;
		},
		get failure() {
			return failure;
		},
		stop() {
			clearInterval(timer);
			return change;
		},
	};
}
