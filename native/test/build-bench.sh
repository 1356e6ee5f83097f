#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds kernel-bench and forward-bench, which say what they take.   bash native/test/build-bench.sh DIRECTORY
set -euo pipefail
native=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "${1:?usage: build-bench.sh DIRECTORY}"
cd "$1"
cxx="${CXX:-g++} -std=c++17 -O3 -ffp-contract=off -w"
# The engine without what needs Node, with the flags of its sources.
node -e 'for (const { file, arch = process.arch, flags = [] } of require(process.argv[1]))
  if (arch === process.arch && !/addon|engine|sampler/.test(file)) console.log(file, ...flags)' "$native/sources.json" |
  while read -r file flags; do
    # shellcheck disable=SC2086
    $cxx $flags -c "$native/$file" -o "$(basename "$file" .cpp).o"
  done
for bench in kernel-bench forward-bench; do $cxx "$native/test/$bench.cpp" ./*.o -o $bench -lpthread; done
rm ./*.o
