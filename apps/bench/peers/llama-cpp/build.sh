#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gets llama.cpp v0.5.0 through npm (libraries: @node-llama-cpp/linux-x64; sources: the git bundle inside node-llama-cpp) and
# builds on these libraries what the benches talk to.   bash build.sh DIRECTORY PROGRAM...
#   llbench, requantize   beside this script, half a minute
#   llama-server          llama.cpp's own, on the packaged libllama-common (which has the HTTP library in it); two minutes
# Needs node with npm, git, tar, g++. About 36 MB of downloads; a second call does nothing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?usage: build.sh DIRECTORY PROGRAM...}"
cd "$1"
version=3.22.1
libraries=node_modules/@node-llama-cpp/linux-x64/bins/linux-x64

get() {
  [ -f package.json ] || echo '{"private":true,"name":"llama-cpp-peer","version":"0.0.0"}' >package.json
  [ -d $libraries ] || npm install --ignore-scripts --no-audit --no-fund --silent "@node-llama-cpp/linux-x64@$version"
  [ -d llama.cpp/include ] && return
  npm pack --silent "node-llama-cpp@$version" >/dev/null
  tar xzf "node-llama-cpp-$version.tgz" package/llama/gitRelease.bundle
  git clone -q -c advice.detachedHead=false package/llama/gitRelease.bundle llama.cpp
  rm -rf package "node-llama-cpp-$version.tgz"
}

compile() {
  g++ -O2 -std=c++17 -w -Illama.cpp/include -Illama.cpp/ggml/include -Illama.cpp/vendor "$@"
}

# link OUTPUT LIBRARY-PATH-AT-RUN-TIME INPUT...
link() {
  local output=$1 path=$2
  shift 2
  compile "$@" -o "$output" "$(ls $libraries/libllama.v*.so)" "$(ls $libraries/libggml.v*.so)" $libraries/libggml-base.so \
    -ldl -lpthread -Wl,-rpath,"$path" -Wl,-rpath-link,$libraries -Wl,--allow-shlib-undefined
}

# Beside the libraries, because it looks for those of the CPUs in its own folder.
server() {
  local objects=llama-server.o
  mkdir -p $objects
  # No assets of its web page.
  sed -e '/#cmakedefine/d; s/@N_ASSETS@/0/' llama.cpp/tools/ui/ui.h.in >$objects/ui.h
  sed -e '/@ASSET_/d; s/@N_ASSETS@/0/; s/@USE_GZIP@/false/' llama.cpp/tools/ui/ui.cpp.in >$objects/ui.cpp
  local source
  for source in llama.cpp/tools/server/*.cpp $objects/ui.cpp "$here/no-media.cpp"; do
    compile -DLLAMA_SUBPROCESS -DLLAMA_SHARED -I$objects -Illama.cpp -Illama.cpp/common -Illama.cpp/tools/mtmd \
      -c "$source" -o "$objects/$(basename "$source" .cpp).o"
  done
  link $libraries/llama-server "\$ORIGIN" $objects/*.o $libraries/libllama-common.so
  rm -r $objects
}

get
for program in "${@:2}"; do
  case $program in
    llama-server) [ $libraries/llama-server -nt "$here/no-media.cpp" ] || server ;;
    *) [ "$program" -nt "$here/$program.cpp" ] || link "$program" "\$ORIGIN/$libraries" "$here/$program.cpp" ;;
  esac
done
