// SPDX-License-Identifier: Apache-2.0

import { type Clock, systemClock } from "@dyn/common";

export interface PullProgress {
	/** What is being done: "download", "unpack" or "verify". */
	readonly phase: string;
	readonly file: string;
	readonly receivedBytes: number;
	/** null when the size is not known yet. */
	readonly totalBytes: number | null;
}

export type OnProgress = (progress: PullProgress) => void;

const BAR_WIDTH = 28;
/** A terminal shows no more than this; drawing more often would slow the download. */
const REDRAW_MS = 100;
const CLEAR_LINE = "\r\u001b[2K";

export interface ProgressOutput {
	write(text: string): unknown;
	/** Width of a terminal, characters. */
	readonly columns?: number | undefined;
}

/** Shows progress: a bar that redraws itself on a terminal, with rate and time left; a line every tenth elsewhere. */
export function createProgressRenderer(
	output: ProgressOutput,
	isTerminal: boolean,
	clock: Clock = systemClock,
): { readonly onProgress: OnProgress; done(): void } {
	let current = "";
	let lastLine = "";
	let began = 0;
	let firstBytes = 0;
	let drawnAt: number | null = null;

	const draw = (progress: PullProgress, now: number) => {
		const finished = progress.receivedBytes === progress.totalBytes;
		if (drawnAt !== null && now - drawnAt < REDRAW_MS && !finished) return;
		const seconds = (now - began) / 1000;
		// What an earlier attempt had fetched already says nothing about the rate.
		const rate = seconds > 0.2 ? (progress.receivedBytes - firstBytes) / seconds : 0;
		output.write(CLEAR_LINE + bar(progress, rate).slice(0, (output.columns ?? 120) - 1));
		drawnAt = now;
	};
	const print = ({ phase, file, receivedBytes, totalBytes }: PullProgress) => {
		const tenths = totalBytes ? ` ${Math.floor((receivedBytes / totalBytes) * 10) * 10} %` : "";
		const line = `${phase} ${file}${tenths}\n`;
		if (line !== lastLine) output.write(line);
		lastLine = line;
	};
	return {
		onProgress(progress) {
			const now = clock.monotonicMs();
			const key = `${progress.phase} ${progress.file}`;
			if (key !== current) {
				[current, began, firstBytes] = [key, now, progress.receivedBytes];
				if (drawnAt !== null) drawnAt = Number.NEGATIVE_INFINITY;
			}
			if (isTerminal) draw(progress, now);
			else print(progress);
		},
		done() {
			if (drawnAt !== null) output.write(CLEAR_LINE);
			drawnAt = null;
		},
	};
}

function bar({ phase, file, receivedBytes, totalBytes }: PullProgress, rate: number): string {
	const speed = rate > 0 ? `  ${size(rate)}/s` : "";
	if (!totalBytes) return `${phase} ${file}  ${size(receivedBytes)}${speed}`;
	const share = Math.min(1, receivedBytes / totalBytes);
	const filled = Math.round(share * BAR_WIDTH);
	const left = rate > 0 && share < 1 ? `  ${Math.ceil((totalBytes - receivedBytes) / rate)} s left` : "";
	return `${phase} ${file}  [${"#".repeat(filled)}${".".repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} %  ${size(receivedBytes)} of ${size(totalBytes)}${speed}${left}`;
}

function size(bytes: number): string {
	if (bytes < 1e3) return `${Math.round(bytes)} B`;
	if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
	return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
