#!/bin/sh
# Compiles eBPF programs: bpf.sh FOLDER OUT makes OUT/<name>.o of every FOLDER/<name>.bpf.c that changed.
#
# Debian's clang; headers are the kernel's, as linux-libc-dev has them, and libbpf's. The result does not depend on the
# running kernel: what a program reads of the kernel's own types is fitted when it is loaded.
set -eu
LC_ALL=C # headers are hashed in one order everywhere
export LC_ALL

folder=$1
out=$2
command -v clang >/dev/null 2>&1 || {
  echo "heddle set-up: clang is missing" >&2
  exit 1
}
[ -e /usr/include/bpf/bpf_helpers.h ] || {
  echo "heddle set-up: libbpf-dev is missing" >&2
  exit 1
}
mkdir -p "$out"
for source in "$folder"/*.bpf.c; do
  [ -e "$source" ] || continue
  name=$(basename "$source" .bpf.c)
  # src/kernel/bpf/compiled.ts takes no program whose sources have another.
  hash=$(cat "$source" "$folder"/*.h scripts/bpf.sh 2>/dev/null | sha256sum | cut -c1-32)
  [ -e "$out/$name.o" ] && [ "$(cat "$out/$name.hash" 2>/dev/null)" = "$hash" ] && continue
  clang -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -I"/usr/include/$(uname -m)-linux-gnu" \
    -c "$source" -o "$out/$name.o.new" >&2
  mv "$out/$name.o.new" "$out/$name.o"
  echo "$hash" >"$out/$name.hash"
done
