#!/bin/sh
# conformance-grpc.sh [web] [OPTIONS OF connectconformance…]: grpc-go's reference server behind a sidecar, asked by connectrpc's
# conformance runner; with `web` in gRPC-Web, which the sidecar translates. Fails where more, or less, than the known cases fail.
#
# Not among the tests: it takes a Go that Debian 12 does not have, and the first run downloads 240 MB and builds for two
# minutes of two cores. Runner and server are pinned, and kept in build/conformance.
set -eu
cd "$(dirname "$0")/.."
version=v1.0.7
tools=$PWD/build/conformance
cases=${HEDDLE_CONNECT_CONFORMANCE:-../shared/conformance/connectrpc-conformance}

if [ ! -x "$tools/connectconformance-$version" ]; then
  mkdir -p "$tools"
  for name in connectconformance grpcserver; do
    GOBIN=$tools GOFLAGS=-modcacherw go install -ldflags="-s -w" "connectrpc.com/conformance/cmd/$name@$version"
  done
  mv "$tools/connectconformance" "$tools/connectconformance-$version"
fi

suite=gRPC
config=grpc-impls-config.yaml
if [ "${1-}" = web ]; then
  shift
  suite=gRPC-Web
  config=grpc-web-server-impl-config.yaml
fi

# Without a sidecar, too: grpc-go answers INTERNAL for too many or too few requests where the runner expects UNIMPLEMENTED.
exec "$tools/connectconformance-$version" --mode server --max-servers 1 \
  --conf "$cases/testing/$config" \
  --known-failing "$suite Unexpected Requests/**/no-request" \
  --known-failing "$suite Unexpected Requests/**/multiple-requests" \
  "$@" -- node_modules/.bin/node test/interop/conformance-server.ts "$tools/grpcserver"
