// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ServerProcess } from "../server-process.js";

const executablePath = "/usr/bin/chromium";

let server: ServerProcess;
let browser: Browser;
beforeAll(async () => {
	if (!existsSync(executablePath))
		throw new Error("Chromium is missing: apt-get install chromium, as .ci/run does");
	server = await ServerProcess.start();
	browser = await chromium.launch({
		executablePath,
		args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
	});
});
afterAll(async () => {
	await browser?.close();
	await server?.[Symbol.asyncDispose]();
});

it("streams an answer into the chat page, without errors in the browser's console", async () => {
	const page = await browser.newPage();
	const problems: string[] = [];
	page.on("pageerror", (error) => problems.push(String(error)));
	page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
	await page.goto(server.address);
	await page.getByLabel("Temperature").fill("0");
	const input = page.getByRole("textbox", { name: /message/i });
	await input.fill("What is the capital of France?");
	await input.press("Enter");
	await page.getByText("Paris").first().waitFor();
	await page
		.getByText(/tok(ens)?\/s/i)
		.first()
		.waitFor();
	expect(problems).toEqual([]);
	if (process.env["DYN_SCREENSHOT"]) await page.screenshot({ path: process.env["DYN_SCREENSHOT"] });
});

it("fits a phone", async () => {
	const page = await browser.newPage({ viewport: { width: 360, height: 700 } });
	await page.goto(server.address);
	const overflow = await page.evaluate(
		"document.documentElement.scrollWidth - document.documentElement.clientWidth",
	);
	expect(overflow).toBeLessThanOrEqual(0);
});
