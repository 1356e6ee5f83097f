// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { MediaItem } from "@dyn/protocols";

/**
 * The encoded file of an image. The server takes JPEG and PNG, and no addresses.
 * @throws DynError UNIMPLEMENTED for a URL that would have to be fetched; INVALID_ARGUMENT for what is no such file
 */
export function imageBytes({ source }: MediaItem, index: number): Uint8Array {
	const where = `image ${index + 1}`;
	if ("url" in source)
		throw new DynError(
			"UNIMPLEMENTED",
			`${where} is a URL, and SMG carries files only; send a data URL or the bytes`,
			{
				details: { param: "image" },
			},
		);
	const bytes = "bytes" in source ? source.bytes : decode(source.dataUri, where);
	const isPng = bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47;
	const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
	if (isPng || isJpeg) return bytes;
	throw invalidArgument("image", `${where} is neither a JPEG nor a PNG file; convert it`);
}

function decode(dataUri: string, where: string): Uint8Array {
	const comma = dataUri.indexOf(",");
	if (comma < 0 || !/^data:[^,]*;base64$/i.test(dataUri.slice(0, comma)))
		throw invalidArgument("image", `${where} is no data URL with base64 in it`);
	return Buffer.from(dataUri.slice(comma + 1), "base64");
}
