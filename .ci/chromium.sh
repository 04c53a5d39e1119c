#!/bin/sh
# Installs Chromium for the tests of report that look at pages. Where there is none and it cannot be installed it says so and does
# nothing: those tests skip then.
set -eu
for name in chromium chromium-browser google-chrome; do
	if command -v $name >/dev/null; then
		exit 0
	fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "chromium.sh: skipped: no chromium on this machine (Debian's package is chromium)"
	exit 0
fi
export DEBIAN_FRONTEND=noninteractive
install="apt-get install -y -q --no-install-recommends chromium"
if ! { $install || { apt-get update -q && $install; }; } >/dev/null 2>&1; then
	echo "chromium.sh: skipped: chromium cannot be installed by apt-get"
fi
