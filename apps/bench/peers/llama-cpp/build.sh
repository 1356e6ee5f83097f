#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gets llama.cpp v0.5.0 through npm (libraries: @node-llama-cpp/linux-x64; headers: the git bundle inside node-llama-cpp)
# and builds llbench, the driver that `bench engine` talks to.   bash build.sh DIRECTORY
# Needs node with npm, git, tar, g++. About 36 MB of downloads; a second call does nothing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?usage: build.sh DIRECTORY}"
cd "$1"
version=3.22.1
[ llbench -nt "$here/llbench.cpp" ] && exit 0
[ -f package.json ] || echo '{"private":true,"name":"llama-cpp-peer","version":"0.0.0"}' >package.json
[ -d node_modules/@node-llama-cpp/linux-x64 ] || npm install --ignore-scripts --no-audit --no-fund --silent "@node-llama-cpp/linux-x64@$version"
if [ ! -d llama.cpp/include ]; then
  npm pack --silent "node-llama-cpp@$version" >/dev/null
  tar xzf "node-llama-cpp-$version.tgz" package/llama/gitRelease.bundle
  git clone -q -c advice.detachedHead=false package/llama/gitRelease.bundle llama.cpp
  rm -rf package "node-llama-cpp-$version.tgz"
fi
libraries=node_modules/@node-llama-cpp/linux-x64/bins/linux-x64
llama=$(ls "$libraries"/libllama.v*.so)
ggml=$(ls "$libraries"/libggml.v*.so)
g++ -O2 -std=c++17 -Illama.cpp/include -Illama.cpp/ggml/include -Illama.cpp/vendor "$here/llbench.cpp" -o llbench \
  "$llama" "$ggml" "$libraries/libggml-base.so" -ldl -lpthread \
  -Wl,-rpath,"\$ORIGIN/$libraries" -Wl,-rpath-link,"$libraries" -Wl,--allow-shlib-undefined
