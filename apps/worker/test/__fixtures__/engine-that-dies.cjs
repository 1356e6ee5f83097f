// SPDX-License-Identifier: Apache-2.0
// Required before anything else (NODE_OPTIONS): the native engine's steps fail from the fortieth on.
const STEPS = 40;

const { dlopen } = process;
process.dlopen = (module, path, ...flags) => {
	dlopen(module, path, ...flags);
	if (!path.endsWith("dyn_native.node")) return;
	let steps = 0;
	module.exports.NativeEngine = class extends module.exports.NativeEngine {
		step(...shares) {
			if (++steps < STEPS) return super.step(...shares);
			return Promise.reject(Object.assign(new Error("injected: the step failed"), { code: "INTERNAL" }));
		}
	};
};
