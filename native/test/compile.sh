# SPDX-License-Identifier: Apache-2.0
# For the scripts beside it.
native=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cxx="${CXX:-g++} -std=c++17 -ffp-contract=off -w"

# compile FOLDER SOURCES FLAGS: objects of those of this machine's sources whose path matches, each with its flags in sources.json.
compile() {
  (
    cd "$native"
    node -e 'const [folder, sources] = process.argv.slice(1);
      for (const { file, arch = process.arch, flags = [] } of require("./sources.json"))
        if (arch === process.arch && new RegExp(sources).test(file))
          console.log("-c", file, "-o", `${folder}/${file.replace(/.*\/|\.cpp$/g, "")}.o`, ...flags);' "$1" "$2" |
      xargs -P "$(nproc)" -L 1 $cxx $3
  )
}
