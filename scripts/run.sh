#!/bin/sh
# `heddle` from a checkout: sets up what is missing, then becomes the pinned Node running src/main.ts.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
case "${1-} ${2-}" in
  "lab up") sh "$root/scripts/setup.sh" lab ;;
  *) sh "$root/scripts/setup.sh" node ;;
esac

# npm changes to the package's folder; file names on the command line are meant from where the user stands.
case ${npm_lifecycle_event-} in
  lab | heddle) [ -z "${INIT_CWD-}" ] || cd "$INIT_CWD" ;;
esac

case $(uname -m) in
  aarch64 | arm64) arch=arm64 ;;
  *) arch=x64 ;;
esac
exec "$root/node_modules/node-linux-$arch/bin/node" "$root/src/main.ts" "$@"
