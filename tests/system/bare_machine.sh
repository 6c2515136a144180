#!/bin/sh
# Runs a command of dev.py on a bare machine: a Debian that has python3 and pip and nothing else, made by debootstrap.
#
#   sudo tests/system/bare_machine.sh up --empty     (ends when the product is ready, with what it said)
#   sudo tests/system/bare_machine.sh test -q        (tests, as in a checkout)
#
# BARE_SUITE is the release (trixie), BARE_ROOT the folder of the machine (a new one below /var/tmp), which stays.
# The last commit is what runs there, as an ordinary user. How pip and uv reach packages is taken over from here.
set -eu

suite=${BARE_SUITE:-trixie}
root=${BARE_ROOT:-$(mktemp -d /var/tmp/bare.XXXXXX)}
here=$(cd "$(dirname "$0")/../.." && pwd)
user=4711

if [ "${BARE_INSIDE:-}" != yes ]; then
    # In a mount namespace of its own, so that nothing stays mounted.
    exec env BARE_INSIDE=yes BARE_ROOT="$root" unshare --mount --propagation private "$0" "$@"
fi

if [ ! -x "$root/usr/bin/pip3" ]; then
    debootstrap --variant=minbase --include=python3,python3-pip,ca-certificates "$suite" "$root" >&2
fi
for given in /etc/resolv.conf /etc/pip.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
    if [ -f "$given" ]; then cp "$given" "$root$given"; fi
done
grep -q ^shuke: "$root/etc/passwd" || echo "shuke:x:$user:$user::/home/shuke:/bin/sh" >>"$root/etc/passwd"
mkdir -p "$root/home/shuke"
git -C "$here" archive --prefix=checkout/ HEAD | tar -x -C "$root/home/shuke"
chown -R "$user:$user" "$root/home/shuke"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"

on_it() {
    chroot "$root" setpriv --reuid="$user" --regid="$user" --clear-groups env -u PIP_FIND_LINKS HOME=/home/shuke "$@"
}

cd /
echo "On it: $(on_it python3 --version), $(on_it pip --version | cut -d ' ' -f 1-2); no java, no docker, no compiler." >&2
for program in java docker gcc psql git; do
    if on_it sh -c "command -v $program" >&2; then echo "$program is there: not bare." >&2 && exit 2; fi
done

began=$(date +%s)
if [ "$1" != up ]; then
    on_it sh -c 'cd ~/checkout && exec python3 dev.py "$@"' dev.py "$@"
    echo "$1 took $(($(date +%s) - began)) s." >&2
    exit
fi
said=$root/home/shuke/said
on_it sh -c 'cd ~/checkout && exec python3 dev.py "$@"' dev.py "$@" >"$said" 2>&1 &
until grep -q '^ready' "$said"; do
    if ! kill -0 $! 2>/dev/null; then cat "$said" && exit 1; fi
    sleep 0.2
done
cat "$said"
echo "ready after $(($(date +%s) - began)) s." >&2
kill -TERM $!
wait $! || true
