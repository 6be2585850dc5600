#!/bin/sh
# Makes sure that the tests of pages find a Chromium. Installs Debian's where there is none and this may be done; says what to do where not.
set -eu
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  echo "Installing Chromium for the tests of pages …" >&2
  apt-get update -qq >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
else
  echo "There is no Chromium: tests of pages are skipped. Install it (apt-get install chromium) to run them." >&2
fi
