// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { TrtllmHttpClient } from "../src/engines/http/index.js";
import { failure } from "./__fixtures__/asking.js";
import { HttpRig } from "./__fixtures__/http-rig.js";

const rig = new HttpRig();

describe("plain calls", () => {
	it("embeds, in the order of the inputs", async () => {
		const vector = Buffer.alloc(8);
		vector.writeFloatLE(0.5, 0);
		vector.writeFloatLE(-2, 4);
		rig.server.answer = (_, response) =>
			!!response.end(
				JSON.stringify({
					data: [
						{ index: 1, embedding: [1, 2] },
						{ index: 0, embedding: vector.toString("base64") },
					],
					usage: { prompt_tokens: 5 },
				}),
			);
		const client = TrtllmHttpClient.create(rig.server.endpoint);
		const { embeddings, promptTokens } = await client.embeddings({ model: "e", input: ["a", "b"] });
		expect(embeddings.map((each) => [...each])).toEqual([
			[0.5, -2],
			[1, 2],
		]);
		expect(promptTokens).toBe(5);
		expect(rig.server.bodies[0]).toEqual({ model: "e", input: ["a", "b"], encoding_format: "base64" });
		client.close();
	});

	it("makes pictures and films", async () => {
		const client = TrtllmHttpClient.create(rig.server.endpoint);
		rig.server.answer = ({ method, url }, response) => {
			if (url === "/v1/images/generations")
				return !!response.end('{"data":[{"b64_json":"AQI="},{"url":"/x"}]}');
			if (method === "POST") return !!response.end('{"id":"a/b","status":"queued"}');
			if (method === "DELETE") return !!response.end('{"deleted":true}');
			if (url?.endsWith("/content")) return !!response.end(Buffer.from([1, 2, 3]));
			return !!response.end('{"id":"a/b","status":"failed","error":{"message":"no memory"}}');
		};
		expect(await client.generateImages({ prompt: "p", n: 2 })).toEqual({
			images: [{ bytes: Buffer.from([1, 2]) }, { url: "/x" }],
		});
		expect(await client.createVideo({ prompt: "p", seconds: 2 })).toEqual({
			id: "a/b",
			status: "queued",
			error: null,
		});
		expect(await client.video("a/b")).toEqual({ id: "a/b", status: "failed", error: "no memory" });
		expect([...(await client.videoContent("a/b"))]).toEqual([1, 2, 3]);
		await client.deleteVideo("a/b");
		expect(rig.server.log).toEqual([
			"POST /v1/images/generations",
			"POST /v1/videos",
			"GET /v1/videos/a%2Fb",
			"GET /v1/videos/a%2Fb/content",
			"DELETE /v1/videos/a%2Fb",
		]);
		rig.server.answer = (_, response) => !!response.end("{}");
		for (const call of [
			client.generateImages({ prompt: "p" }),
			client.video("x"),
			client.embeddings({ model: "m", input: "x" }),
		])
			expect((await failure(call)).code).toBe("INTERNAL");
		rig.server.answer = null;
		expect((await failure(client.video("x"))).code).toBe("NOT_FOUND");
		client.close();
	});

	it("asks again what has no effect when a kept connection was given up, and nothing else", async () => {
		const client = TrtllmHttpClient.create(rig.server.endpoint);
		await client.health();
		let resets = 0;
		rig.server.answer = (request) => {
			if (resets++ > 0) return false;
			request.socket.destroy();
			return true;
		};
		expect(await client.models()).toEqual(["toy"]);
		expect(rig.server.log.filter((line) => line === "GET /v1/models")).toHaveLength(2);
		resets = 0;
		expect((await failure(client.createVideo({ prompt: "x" }))).code).toBe("DISCONNECTED");
		expect(rig.server.log.filter((line) => line === "POST /v1/videos")).toHaveLength(1);
		client.close();
	});
});
