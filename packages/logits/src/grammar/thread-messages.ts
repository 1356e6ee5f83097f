// SPDX-License-Identifier: Apache-2.0
import type { NextTokens } from "./compiled-grammar.js";
import type { Guide } from "./guide.js";

/** To the grammar thread. Each but `close` gets one answer, in order. */
export type ThreadRequest =
	| { readonly kind: "open"; readonly id: number; readonly guide: Guide; readonly tokens: readonly number[] }
	| { readonly kind: "advance"; readonly id: number; readonly tokenId: number }
	| { readonly kind: "close"; readonly id: number };

/** From the grammar thread; `ready` comes once, before all answers. */
export type ThreadAnswer =
	| { readonly kind: "ready" }
	| { readonly kind: "next"; readonly next: NextTokens }
	/** `fault`: of whoever wrote the guide, not of ours. */
	| { readonly kind: "failed"; readonly message: string; readonly fault: boolean };
