// SPDX-License-Identifier: Apache-2.0
// The public surface of every package as text: packages/<name>/etc/<entry>.api.md.
//   node scripts/api-reports.mjs          writes the reports (after `tsc -b`)
//   node scripts/api-reports.mjs --check  fails if one differs
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Extractor, ExtractorConfig } from "@microsoft/api-extractor";

const root = fileURLToPath(new URL("..", import.meta.url));
const check = process.argv.includes("--check");
let wrong = 0;

for (const floor of ["packages", "apps"]) {
	for (const name of readdirSync(join(root, floor))) {
		const folder = join(root, floor, name);
		if (!existsSync(join(folder, "package.json"))) continue;
		const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
		if (manifest.private) continue;
		for (const [subpath, target] of Object.entries(manifest.exports ?? {})) {
			if (typeof target !== "object" || !target.types) continue;
			const report = subpath === "." ? name : `${name}.${subpath.slice(2).replaceAll("/", "-")}`;
			if (!extract(folder, join(folder, target.types), report)) wrong++;
		}
	}
}
if (wrong > 0) {
	console.error(`${wrong} API report(s) differ: look at the change, then run node scripts/api-reports.mjs`);
	process.exit(1);
}
console.log(check ? "API reports: up to date" : "API reports: written");

/** True when the report is as it should be. */
function extract(folder, entry, report) {
	const reportFolder = join(folder, "etc");
	mkdirSync(reportFolder, { recursive: true });
	const config = ExtractorConfig.prepare({
		configObjectFullPath: join(folder, "api-extractor.json"),
		packageJsonFullPath: join(folder, "package.json"),
		configObject: {
			projectFolder: folder,
			mainEntryPointFilePath: entry,
			newlineKind: "lf",
			compiler: {
				overrideTsconfig: {
					compilerOptions: {
						target: "ES2022",
						lib: ["ES2022", "ESNext.Disposable"],
						module: "NodeNext",
						moduleResolution: "NodeNext",
						types: ["node"],
						skipLibCheck: true,
					},
					files: [entry],
				},
			},
			apiReport: {
				enabled: true,
				reportFolder,
				reportTempFolder: join(root, "temp"),
				reportFileName: `${report}.api.md`,
			},
			docModel: { enabled: false },
			dtsRollup: { enabled: false },
			tsdocMetadata: { enabled: false },
			messages: {
				extractorMessageReporting: { default: { logLevel: "none" } },
				tsdocMessageReporting: { default: { logLevel: "none" } },
			},
		},
	});
	mkdirSync(join(root, "temp"), { recursive: true });
	const result = Extractor.invoke(config, {
		localBuild: !check,
		showVerboseMessages: false,
		messageCallback: (message) => {
			message.handled = message.logLevel !== "error";
		},
	});
	if (check && result.apiReportChanged)
		console.error(`changed: ${join(dirname(reportFolder), "etc", `${report}.api.md`).slice(root.length)}`);
	return check ? !result.apiReportChanged : true;
}
