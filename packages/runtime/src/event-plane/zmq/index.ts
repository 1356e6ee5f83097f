// SPDX-License-Identifier: Apache-2.0
export { createZmqBroker, type ZmqBroker, type ZmqBrokerOptions } from "./zmq-broker.js";
export {
	createZmqEventPlane,
	type ZmqBrokerEndpoints,
	type ZmqEventPlaneOptions,
} from "./zmq-event-plane.js";
