#!/bin/sh
# Types, purity of the pure layers, lint and format. Runs all of them; fails if any does.
set -u

cd "$(dirname "$0")/.."
sh scripts/setup.sh node || exit 1
PATH=$PWD/node_modules/.bin:$PATH

failed=0
passed=0
step() { # name, command…
  name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "✔ $name"
  else
    failed=$((failed + 1))
    echo "✖ $name: $*"
  fi
}

step "types" tsc -p tsconfig.json
step "types of the pure layers, without Node's" tsc -p tsconfig.pure.json
step "types of the dashboard" tsc -p dashboard/tsconfig.json
step "lint, layers and format" biome ci --colors=off --reporter=summary .

# For test.sh, which adds the stages up.
[ -z "${HEDDLE_TALLY-}" ] || echo "$passed $failed 0" >>"$HEDDLE_TALLY"
[ "$failed" = 0 ]
