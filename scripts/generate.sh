#!/bin/sh
# Regenerates what is derived from other files and committed. A clean tree afterwards means it was up to date.
set -eu

cd "$(dirname "$0")/.."
sh scripts/setup.sh node
PATH=$PWD/node_modules/.bin:$PATH

node scripts/generate-xds.ts
