#!/bin/sh
# Ten minutes of two sidecars under load while configuration, certificates, endpoints and the processes themselves are
# replaced (test/soak/soak.ts): `soak-proxy.sh [SECONDS]`. Needs root. CI runs twenty seconds of it.
set -eu

cd "$(dirname "$0")/.."
sh scripts/setup.sh node
exec node_modules/.bin/node test/soak/main.ts "${1:-600}"
