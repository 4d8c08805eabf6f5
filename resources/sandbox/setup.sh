#!/bin/sh
# Turns a bare Debian into the sandbox image: packages, Node's commands, the agent. Runs as root inside the image to be,
# from the Dockerfile and from make_image.sh, so that both make the same. Expects Node and npm under /usr/local.
set -eu
here=$(dirname "$0")
export DEBIAN_FRONTEND=noninteractive

# Manuals and translations are a quarter of the size, and nobody reads them here. Copyright files stay.
cat > /etc/dpkg/dpkg.cfg.d/longhaul <<'CONF'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
CONF
# A half-made image is thrown away, so dpkg need not flush each file; this halves the time.
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/unsafe-io

apt-get update -q
packages=$(sed -e 's/#.*//' "$here/packages.txt")
# shellcheck disable=SC2086  # a list of words
apt-get install -y -q --no-install-recommends $packages

ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
node --version
npm --version

groupadd --gid 1000 agent
useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash agent
install -d -o agent -g agent /workspace

apt-get clean
rm -f /etc/dpkg/dpkg.cfg.d/unsafe-io /var/log/*.log /var/log/apt/* /var/cache/debconf/*-old /var/lib/dpkg/*-old
rm -rf /var/lib/apt/lists/* /root/.npm /tmp/node-compile-cache
# What Debian's bootstrap brought before the exclusions applied.
rm -rf /usr/share/info/* /usr/share/locale/* /usr/share/man/*
