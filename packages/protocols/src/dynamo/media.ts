// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { MediaItem } from "../media-item.js";
import { PlainData } from "./plain-data.js";

const PARTS = [
	["image", "image_url"],
	["video", "video_url"],
	["audio", "audio_url"],
] as const;

/** As Dynamo's `multi_modal_data`: lists of URLs by kind. Bytes become data URLs. */
export function encodeMedia(media: readonly MediaItem[]): Record<string, unknown> {
	return Object.fromEntries(
		PARTS.map(([modality, part]) => [
			part,
			media.filter((item) => item.modality === modality).map((item) => ({ Url: urlOf(item) })),
		]).filter(([, urls]) => urls!.length > 0),
	);
}

function urlOf({ source, modality }: MediaItem): string {
	if ("url" in source) return source.url;
	if ("dataUri" in source) return source.dataUri;
	return `data:${modality}/*;base64,${Buffer.from(source.bytes).toString("base64")}`;
}

/** @throws DynError INVALID_ARGUMENT for a kind that is not known; UNIMPLEMENTED for media that are not URLs */
export function decodeMedia(data: PlainData): readonly MediaItem[] {
	const strange = data.names().find((name) => !PARTS.some(([, part]) => part === name));
	if (strange !== undefined)
		throw new DynError("INVALID_ARGUMENT", `${data.where}.${strange} is no kind of media that is known`);
	return PARTS.flatMap(([modality, part]) =>
		(data.array(part) ?? []).map((each, i): MediaItem => {
			const item = new PlainData(each, `${data.where}.${part}[${i}]`);
			const url = item.string("Url") ?? item.string("RawUrl");
			if (url === null)
				throw new DynError(
					"UNIMPLEMENTED",
					`${item.where} is no URL; decoded media cannot be taken here: send the URL`,
				);
			return { modality, source: url.startsWith("data:") ? { dataUri: url } : { url } };
		}),
	);
}
