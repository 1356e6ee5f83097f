// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { ServedTarget } from "../request-plane.js";
import type { Admission } from "./admission.js";
import { ByteQueue } from "./byte-queue.js";
import { type ControlHeader, decodeControlHeader } from "./control-header.js";
import { contextOf } from "./request-context.js";
import { refusals } from "./request-frame.js";
import { ResponseSender } from "./response-sender.js";
import type { Sockets } from "./sockets.js";
import { takeTwoPart } from "./two-part.js";
import { decodeBody } from "./wire-format.js";

export interface CallHomeServerOptions {
	readonly admission: Admission;
	/** Default: plain TCP. */
	readonly sockets?: Sockets;
	readonly logger: Logger;
	/** Hears why a caller that is gone was lost, when that is known. */
	readonly onLost?: (control: ControlHeader, cause: unknown) => void;
}

/**
 * Serves requests whose answers go to the address in their control header, over a connection each, whichever way the
 * requests came.
 */
export class CallHomeServer {
	readonly #options: CallHomeServerOptions;
	readonly #senders = new Set<ResponseSender>();

	constructor(options: CallHomeServerOptions) {
		this.#options = options;
	}

	/** Begins a request (a TwoPart message); returns what the caller is told at once, empty for accepted. */
	receive(target: ServedTarget, payload: Buffer, headers: Readonly<Record<string, string>>): string {
		try {
			const queue = new ByteQueue();
			queue.push(payload);
			const parts = takeTwoPart(queue);
			if (!parts) return refusals.unavailable("the request is cut short");
			const control = decodeControlHeader(parts.header);
			void this.#serve(target, control, parts.body, headers, payload.length);
			return "";
		} catch (error) {
			return refusals.unavailable(DynError.from(error).rawMessage);
		}
	}

	/** Breaks off what is being answered. */
	close(): void {
		for (const sender of this.#senders) sender.destroy();
	}

	/** Never rejects: what fails is the caller's to hear. */
	async #serve(
		target: ServedTarget,
		control: ControlHeader,
		body: Buffer,
		headers: Readonly<Record<string, string>>,
		requestBytes: number,
	): Promise<void> {
		const { admission, sockets, logger, onLost } = this.#options;
		const cancel = new AbortController();
		let sender: ResponseSender;
		try {
			const gone = (reason: DynError | null) => {
				this.#senders.delete(sender);
				if (reason?.cause) onLost?.(control, reason.cause);
				if (reason) cancel.abort(reason);
			};
			sender = new ResponseSender(control, gone, sockets);
			this.#senders.add(sender);
		} catch (error) {
			const { id, address } = control;
			logger.warn("an answer cannot be delivered", { request: id, address, error });
			return;
		}
		if (!(await admission.enter(cancel.signal))) return;
		try {
			const request = target.codec.decodeRequest(decodeBody(body, control.format));
			const context = contextOf(control.id, headers, cancel.signal, logger);
			for await (const item of target.handler(request, context)) {
				if (sender.gone) return;
				const room = sender.send(target.codec.encodeItem(item), target.codec.bareItems ?? false);
				if (room) await room;
			}
			await sender.complete();
		} catch (error) {
			if (!sender.gone) await sender.fail(error).catch(() => sender.destroy());
		} finally {
			target.traffic?.(requestBytes, sender.sentBytes);
			admission.leave();
		}
	}
}
