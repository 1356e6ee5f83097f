#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the C++ tests: plain, and with the address and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cxx=${CXX:-g++}
x86="-mavx2 -mfma -mf16c"
avx512="$x86 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni"

build_and_run() { # name, flags
  local objects=()
  local flags
  for source in packing portable select quantise quantise_avx2 avx2 avx512 avx512_bf16 amx; do
    flags=""
    if [ "$(uname -m)" = x86_64 ]; then
      case $source in
        avx2 | quantise_avx2) flags=$x86 ;;
        avx512) flags=$avx512 ;;
        avx512_bf16 | amx) flags="$avx512 -mavx512bf16" ;;
      esac
    elif [[ $source == *avx* || $source == amx ]]; then
      continue
    fi
    # shellcheck disable=SC2086
    "$cxx" -std=c++17 -ffp-contract=off -w $2 $flags -c "src/kernels/$source.cpp" -o "$out/$1-$source.o"
    objects+=("$out/$1-$source.o")
  done
  # shellcheck disable=SC2086
  "$cxx" -std=c++17 -w $2 test/kernel-test.cpp "${objects[@]}" -o "$out/$1"
  # shellcheck disable=SC2086
  "$cxx" -std=c++17 -ffp-contract=off -w -Wno-psabi $2 test/quantise-test.cpp "${objects[@]}" -o "$out/$1-quantise"
  echo "$1:"
  "$out/$1"
  "$out/$1-quantise"
}

build_and_run plain "-O3"
# The AMX kernels with their tiles in software, where the CPU has the rest of what they need.
build_and_run emulated-tiles '-O2 -DDYN_TILES="../../test/tiles_emulated.h"'
build_and_run sanitized "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all"
