#!/bin/sh
# Runs the checks and tests, and closes with `N passed, N failed, N skipped` over all of them.
#
#   test.sh all     checks, unit tests, then what needs namespaces, one file after the other (without root: skipped)
#   test.sh unit    checks and unit tests; no root
#   test.sh FILES…  just these, one after the other
set -u

cd "$(dirname "$0")/.."
what=${1:-all}
case $what in
  all) sh scripts/setup.sh test || exit 1 ;;
  *) sh scripts/setup.sh node || exit 1 ;;
esac
PATH=$PWD/node_modules/.bin:$PATH
node=$(readlink -f node_modules/.bin/node)

mkdir -p build/test
tally=$(mktemp build/test/tally.XXXXXX)
tap=$tally.tap
trap 'rm -f "$tally" "$tap"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
failed_stages=0

files() { find "$@" -name '*.test.ts' 2>/dev/null | LC_ALL=C sort; }

stage() { # name, concurrency, files…
  name=$1
  concurrency=$2
  shift 2
  [ $# -gt 0 ] || return 0
  printf '\n── %s: %d files\n' "$name" $#
  : >"$tap"
  # No test takes five minutes: one that takes fifteen hangs, and is named. Not --test-force-exit: a file that ends itself
  # loses what it has not reported yet, and whole suites are missing without a word.
  "$node" --test --test-concurrency="$concurrency" --test-timeout="${HEDDLE_TEST_TIMEOUT_MS:-900000}" \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=tap --test-reporter-destination="$tap" "$@"
  status=$?
  # The TAP report closes with `# pass 12`, `# fail 0` …; a stage that died before that failed once. What was skipped is
  # counted by its lines, since the closing number leaves out whole suites.
  awk -v status="$status" '
    /^# (pass|fail|cancelled) [0-9]+$/ { n[$2] = $3 }
    /^ *(not )?ok [0-9]+ .* # (SKIP|TODO)/ { skipped++ }
    END {
      failed = n["fail"] + n["cancelled"]
      if (status != 0 && failed == 0) failed = 1
      print n["pass"] + 0, failed, skipped + 0
    }' "$tap" >>"$tally"
  [ "$status" = 0 ] || failed_stages=$((failed_stages + 1))
}

check() {
  printf '── checks\n'
  HEDDLE_TALLY=$tally sh scripts/check.sh || failed_stages=$((failed_stages + 1))
}

cores=$(nproc 2>/dev/null || echo 2)
# shellcheck disable=SC2046 # our file names have no spaces
case $what in
  all)
    check
    stage "unit" "$cores" $(files src dashboard test/repo)
    stage "network namespaces" 1 $(files test/netns)
    stage "end to end" 1 $(files test/e2e)
    stage "interoperation" 1 $(files test/interop)
    ;;
  unit)
    check
    stage "unit" "$cores" $(files src dashboard test/repo)
    ;;
  *) stage "named files" 1 "$@" ;;
esac

awk -v stages="$failed_stages" '
  { passed += $1; failed += $2; skipped += $3 }
  END {
    printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped
    exit (failed > 0 || stages > 0 || passed + skipped == 0)
  }' "$tally"
