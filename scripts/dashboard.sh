#!/bin/sh
# Builds the dashboard into build/dashboard, if what it is made of has changed. Says nothing where there is nothing to do.
set -eu

cd "$(dirname "$0")/.."
case $(uname -m) in
  aarch64 | arm64) arch=arm64 ;;
  *) arch=x64 ;;
esac
node=$PWD/node_modules/node-linux-$arch/bin/node
stamp=build/setup/dashboard

# Of src/ it takes types, which leave nothing in the build, and the names.
hash=$(find dashboard src/model/names.ts package-lock.json scripts/dashboard.sh -type f | LC_ALL=C sort | xargs cat | sha256sum | cut -c1-32)
[ ! -e build/dashboard/index.html ] || [ "$(cat "$stamp" 2>/dev/null)" != "$hash" ] || exit 0

mkdir -p build/setup
# Two commands may build at the same time: the second waits, and finds the work done.
if command -v flock >/dev/null 2>&1; then
  exec 8>build/setup/dashboard.lock
  flock 8
  [ ! -e build/dashboard/index.html ] || [ "$(cat "$stamp" 2>/dev/null)" != "$hash" ] || exit 0
fi

echo "heddle set-up: building the dashboard" >&2
"$node" node_modules/vite/bin/vite.js build --config dashboard/vite.config.ts --logLevel warn >&2 8>&- || {
  echo "heddle set-up: vite could not build the dashboard" >&2
  exit 1
}
echo "$hash" >"$stamp"
