// SPDX-License-Identifier: Apache-2.0
export { announceZmqBroker, type ZmqBrokerAnnouncement } from "./broker-channel.js";
export { parseZmqBrokerUrl, type ZmqBrokerEndpoints } from "./broker-endpoints.js";
export { loadZmq, type Zmq } from "./load-zmq.js";
export { createZmqBroker, type ZmqBroker, type ZmqBrokerOptions } from "./zmq-broker.js";
export { createZmqEventPlane, type ZmqEventPlaneOptions } from "./zmq-event-plane.js";
