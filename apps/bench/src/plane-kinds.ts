// SPDX-License-Identifier: Apache-2.0
import type { RequestPlane } from "@dyn/runtime";
import { createHttpPlane } from "@dyn/runtime/http";
import { connectNats, createNatsRequestPlane } from "@dyn/runtime/nats";
import { createTcpPlane } from "@dyn/runtime/tcp";

/** `local` is a function call; `call-home` is how stock Dynamo answers, one connection each; `multiplexed` only we speak. */
export const PLANES = [
	"local",
	"call-home-json",
	"call-home-msgpack",
	"multiplexed",
	"http",
	"nats",
] as const;
export type PlaneName = (typeof PLANES)[number];

export interface OpenPlane {
	readonly planes: readonly RequestPlane[];
	close(): Promise<void>;
}

/** @param nats URL of the server, for `nats` */
export async function openPlane(name: PlaneName, nats: string): Promise<OpenPlane> {
	const nothing = async () => {};
	switch (name) {
		case "local":
			return { planes: [], close: nothing };
		case "call-home-json":
			return { planes: [createTcpPlane({ codec: "json", multiplexed: false })], close: nothing };
		case "call-home-msgpack":
			return { planes: [createTcpPlane({ multiplexed: false })], close: nothing };
		case "multiplexed":
			return { planes: [createTcpPlane()], close: nothing };
		case "http":
			return { planes: [createHttpPlane()], close: nothing };
		case "nats": {
			const link = await connectNats({ servers: [nats] });
			return { planes: [createNatsRequestPlane({ nats: link })], close: () => link.close() };
		}
	}
}
