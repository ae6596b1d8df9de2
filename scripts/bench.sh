#!/bin/sh
# Runs one bench: `bench.sh NAME [--json]`. Sets up what is missing first; everything but the result goes to stderr.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
[ "$(id -u)" != 0 ] || sh "$root/scripts/setup.sh" bench
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

case $(uname -m) in
  aarch64 | arm64) arch=arm64 ;;
  *) arch=x64 ;;
esac
exec "$root/node_modules/node-linux-$arch/bin/node" "$root/bench/run.ts" "$@"
