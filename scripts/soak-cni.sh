#!/bin/sh
# A thousand random events of a node's life (test/netns/cni-histories.test.ts), some minutes: HEDDLE_SEED picks another history.
set -eu
cd "$(dirname "$0")/.."
# On a busy machine a thousand take longer than what a test is given otherwise.
HEDDLE_TEST_TIMEOUT_MS=3600000
export HEDDLE_TEST_TIMEOUT_MS
HEDDLE_CYCLES=${HEDDLE_CYCLES:-1000} HEDDLE_SEED=${HEDDLE_SEED:-1} exec sh scripts/test.sh test/netns/cni-histories.test.ts
