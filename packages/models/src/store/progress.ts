// SPDX-License-Identifier: Apache-2.0

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

/** Shows progress: a bar that redraws itself on a terminal, a line every tenth elsewhere. */
export function createProgressRenderer(
	output: { write(text: string): unknown },
	isTerminal: boolean,
): { readonly onProgress: OnProgress; done(): void } {
	let shown = "";
	let drawn = false;
	let began = performance.now();
	let current = "";
	const clear = () => {
		if (drawn) output.write("\r\u001b[2K");
		drawn = false;
	};
	return {
		onProgress(progress) {
			const key = `${progress.phase} ${progress.file}`;
			if (key !== current) {
				current = key;
				began = performance.now();
				shown = "";
			}
			const share = progress.totalBytes ? Math.min(1, progress.receivedBytes / progress.totalBytes) : null;
			if (isTerminal) {
				output.write(`\r\u001b[2K${bar(progress, share, (performance.now() - began) / 1000)}`);
				drawn = true;
				return;
			}
			const step = share === null ? "" : ` ${Math.floor(share * 10) * 10} %`;
			const line = `${progress.phase} ${progress.file}${step}`;
			if (line !== shown) output.write(`${line}\n`);
			shown = line;
		},
		done: clear,
	};
}

function bar(
	{ phase, file, receivedBytes, totalBytes }: PullProgress,
	share: number | null,
	seconds: number,
): string {
	const rate = seconds > 0.2 ? receivedBytes / seconds : 0;
	const speed = rate > 0 ? `  ${size(rate)}/s` : "";
	if (share === null || totalBytes === null) return `${phase} ${file}  ${size(receivedBytes)}${speed}`;
	const filled = Math.round(share * BAR_WIDTH);
	const left = rate > 0 && share < 1 ? `  ${Math.ceil((totalBytes - receivedBytes) / rate)} s left` : "";
	return `${phase} ${file}  [${"#".repeat(filled)}${".".repeat(BAR_WIDTH - filled)}] ${Math.floor(share * 100)} %  ${size(receivedBytes)} of ${size(totalBytes)}${speed}${left}`;
}

function size(bytes: number): string {
	if (bytes < 1e3) return `${Math.round(bytes)} B`;
	if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
	return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
