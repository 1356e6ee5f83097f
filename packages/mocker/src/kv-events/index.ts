// SPDX-License-Identifier: Apache-2.0
export {
	createKvEventPublisherDouble,
	type KvEventPublisherDouble,
	type KvEventPublisherDoubleOptions,
} from "./kv-event-publisher-double.js";
export { RankPublisher } from "./rank-publisher.js";
export { type TrtllmKvEvent, trtllmKvEvents } from "./trtllm-events.js";
