// SPDX-License-Identifier: Apache-2.0
// Preload (node --import) that gives a process the wall clock of the file CLOCK_SHIFT_FILE: so many ms beside the system's,
// also while it runs. Monotonic clocks and timers go on as they do when an administrator sets the time.
import { readFileSync, watchFile } from "node:fs";

const file = process.env.CLOCK_SHIFT_FILE;
const RealDate = Date;
let shiftMs = Number(readFileSync(file, "utf8"));
const now = () => RealDate.now() + shiftMs;

globalThis.Date = new Proxy(RealDate, {
	construct: (target, args, self) => Reflect.construct(target, args.length === 0 ? [now()] : args, self),
	apply: () => new RealDate(now()).toString(),
	get: (target, name) => (name === "now" ? now : Reflect.get(target, name)),
});

watchFile(file, { interval: 50, persistent: false }, () => {
	shiftMs = Number(readFileSync(file, "utf8"));
	process.stderr.write(`wall clock shifted by ${shiftMs} ms\n`);
});
