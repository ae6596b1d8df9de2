#!/bin/sh
# Fuzzes codecs: `fuzz.sh NAME [--count N] [--seed S]`. A failure names the seed and the input that shows it again.
set -eu

cd "$(dirname "$0")/.."
sh scripts/setup.sh node
exec node_modules/.bin/node --expose-gc test/fuzz/main.ts "$@"
