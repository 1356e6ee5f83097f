// SPDX-License-Identifier: Apache-2.0

/** A picture, video or sound of a request, for the placeholder at the same position in the prompt. */
export interface MediaItem {
	readonly modality: "image" | "video" | "audio";
	/** http(s) URL, data URL, or the encoded file itself. */
	readonly source: { readonly url: string } | { readonly dataUri: string } | { readonly bytes: Uint8Array };
}
