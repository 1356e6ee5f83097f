// SPDX-License-Identifier: Apache-2.0
import { createModelStore } from "@dyn/models/store";

/** Path of a model, pulled into the user's store if it is not there yet. */
export async function modelFile(model: string): Promise<string> {
	const store = createModelStore({});
	return (await store.resolve(model, { pull: true })).path;
}
