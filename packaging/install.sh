#!/bin/sh
# Installs what this directory holds below a prefix, /usr/local if none is named. Nothing is downloaded.
#
#   ./install.sh [--as-borg] [PREFIX]
#
# --as-borg: `borg` and `borgfs` are this program too. DESTDIR may name a directory to install into for packing.
set -eu

as_borg=no
if [ "${1-}" = --as-borg ]; then
    as_borg=yes
    shift
fi
prefix=${1-/usr/local}
case $prefix in
    /*) ;;
    *) echo "install.sh: not an absolute path: $prefix" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
into=${DESTDIR-}$prefix

install -d "$into/bin" "$into/share"
# Not over itself: it may be running.
install -m 0755 "$here/bin/ironborg" "$into/bin/.ironborg.new"
mv -f "$into/bin/.ironborg.new" "$into/bin/ironborg"
(cd "$here/share" && find . -type d -exec install -d "$into/share/{}" \; \
    && find . -type f ! -name 'borg*.1' -exec install -m 0644 {} "$into/share/{}" \;)

if [ $as_borg = yes ]; then
    for name in borg borgfs; do
        ln -sf ironborg "$into/bin/$name"
    done
    ln -sf ironborg "$into/share/bash-completion/completions/borg"
    install -m 0644 "$here"/share/man/man1/borg*.1 "$into/share/man/man1/"
fi

# mount(8) looks nowhere else.
if [ "$(id -u)" = 0 ]; then
    install -d "${DESTDIR-}/sbin"
    for name in mount.fuse.borgfs mount.borgfs; do
        ln -sf "$prefix/bin/ironborg" "${DESTDIR-}/sbin/$name"
    done
fi
