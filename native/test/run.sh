#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the C++ tests: plain, with tiles in software, and with the address and undefined-behaviour sanitizers.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/compile.sh"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

build_and_run() { # name, flags
  mkdir "$out/$1"
  compile "$out/$1" ^src/kernels/ "$2"
  for test in kernel-test quantise-test; do $cxx -Wno-psabi $2 "$native/test/$test.cpp" "$out/$1"/*.o -o "$out/$1/$test"; done
  echo "$1:"
  "$out/$1/kernel-test"
  "$out/$1/quantise-test"
}

build_and_run plain "-O3"
# The AMX kernels with their tiles in software, where the CPU has the rest of what they need.
build_and_run emulated-tiles '-O2 -DDYN_TILES="../../test/tiles_emulated.h"'
build_and_run sanitized "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
