#!/bin/sh
# scripts/deps.sh ROOT [PACKAGE ...]: installs the packages that the build and the tests need, and the PACKAGEs.
# As root, or with sudo in CI, apt-get installs them. Otherwise they are unpacked under ROOT, where the Makefile finds
# them; the system is not changed.
set -eu
root=$1
shift
packages="g++ pkg-config libjpeg-dev libpng-dev libwebp-dev libyaml-dev libxxhash-dev zlib1g-dev libonig-dev libsqlite3-dev libcmocka-dev $*"
# Of the packages and their dependencies, only those with these names are unpacked. A machine with a C compiler has the others (libc, ...).
ours='^(pkg-config|pkgconf|libpkgconf|libjpeg|libpng|libwebp|libsharpyuv|libyaml|libxxhash|zlib1g|libonig|libsqlite3|libcmocka|libstb)'

if ! command -v apt-get >/dev/null; then
    echo "deps: no apt-get on this system; install these packages with your package manager: $packages" >&2
    exit 1
fi
as_root=
[ "$(id -u)" = 0 ] || { [ -n "${CI:-}" ] && sudo -n true 2>/dev/null && as_root="sudo -n"; } || as_root=no
if [ "$as_root" != no ]; then
    echo "deps: installing with apt-get: $packages"
    export DEBIAN_FRONTEND=noninteractive
    $as_root apt-get -qq update || echo "deps: apt-get update failed; using the existing package lists" >&2
    exec $as_root apt-get -qq -y --no-install-recommends install $packages
fi

echo "deps: not root: unpacking under $root, the system is not changed: $packages"
work=$(dirname "$root")
mkdir -p "$root" "$work/lists/partial" "$work/debs/partial"
apt() { # with separate package lists, and as if no package were installed
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
