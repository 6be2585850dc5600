#!/bin/sh
# Brings systemd-analyze, which checks the units under infra/systemd, to a Debian machine that lacks it. Nothing of it is started.
set -eu
if command -v systemd-analyze >/dev/null 2>&1; then exit 0; fi
if ! command -v apt-get >/dev/null 2>&1; then echo "no apt-get here: the units go unchecked by systemd" >&2; exit 0; fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then as_root="sudo --non-interactive"; fi
$as_root apt-get update --quiet=2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends systemd
