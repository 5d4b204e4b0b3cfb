#!/bin/sh
# Sees to the packages that the build and the tests use: scripts/deps.sh ROOT [PACKAGE ...]: these too
# As root, or in CI by sudo, the system's package manager installs them. Anybody else gets the same packages unpacked
# under ROOT, where the Makefile looks too; the system is not touched.
set -eu
root=$1
shift
packages="pkg-config libutf8proc-dev libjpeg-dev libpng-dev libwebp-dev libyaml-dev libxxhash-dev zlib1g-dev libcmocka-dev $*"
# Of what those need, a machine with a C compiler lacks only these; libc and its like are never unpacked.
ours='^(pkg-config|pkgconf|libpkgconf|libutf8proc|libjpeg|libpng|libwebp|libsharpyuv|libyaml|libxxhash|zlib1g|libcmocka|libstb)'

if ! command -v apt-get >/dev/null; then
    echo "deps: no apt-get here; install these by your system's package manager: $packages" >&2
    exit 1
fi
as_root=
[ "$(id -u)" = 0 ] || { [ -n "${CI:-}" ] && sudo -n true 2>/dev/null && as_root="sudo -n"; } || as_root=no
if [ "$as_root" != no ]; then
    echo "deps: installing by apt-get: $packages"
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get -qq update || echo "deps: apt-get update failed; trying with the lists that are here" >&2
    exec $as_root apt-get -qq -y --no-install-recommends install $packages
fi

echo "deps: not root: unpacking under $root, the system stays as it is: $packages"
work=$(dirname "$root")
mkdir -p "$root" "$work/lists/partial" "$work/debs/partial"
apt() { # with lists of its own, as if nothing were installed
    apt-get -qq -o Dir::State="$work" -o Dir::State::lists="$work/lists" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$work" -o Dir::Cache::archives="$work/debs" -o Debug::NoLocking=1 "$@"
}
apt update
names=$(apt -y --no-install-recommends --print-uris install $packages | awk '{print $2}' | sed 's/_.*//' | grep -E "$ours")
cd "$work/debs"
apt download $names
for deb in *.deb; do
    dpkg -x "$deb" "$root"
done
rm -rf "$work/lists" "$work/debs"
echo "deps: done"
