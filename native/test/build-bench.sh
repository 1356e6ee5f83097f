#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds kernel-bench and forward-bench, which say what they take.   bash native/test/build-bench.sh DIRECTORY
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/compile.sh"
objects=$(mktemp -d)
trap 'rm -rf "$objects"' EXIT
mkdir -p "${1:?usage: build-bench.sh DIRECTORY}"
compile "$objects" '^src/(kernels/|(?!addon|engine|sampler))' -O3 # the engine without what needs Node
for bench in kernel-bench forward-bench; do $cxx -O3 "$native/test/$bench.cpp" "$objects"/*.o -o "$1/$bench" -lpthread; done
