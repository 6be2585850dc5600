#!/bin/sh
# Makes .venv from a lock file (run.lock or dev.lock), every package checked against its hash. Uses uv if it is there, else brings it into the venv.
set -eu
cd "$(dirname "$0")/.."
lock="requirements/$1.lock"
stamp=".venv/.installed"
here=$(pwd)
wanted() { printf '%s %s' "$(cat "requirements/$1.lock" pyproject.toml | cksum)" "$here"; }
found=$(cat "$stamp" 2>/dev/null || true)
if [ "$found" = "$(wanted dev)" ] || [ "$found" = "$(wanted "$1")" ]; then exit 0; fi
case "$found" in *" $here" | "") ;; *) rm -rf .venv ;; esac  # the folder was moved or copied: the paths inside are stale

python=""
for name in python3.11 python3.12 python3.13 python3 python; do
  if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then python=$name; break; fi
done
if [ -z "$python" ]; then echo "lake needs Python 3.11, 3.12 or 3.13 on the PATH" >&2; exit 1; fi

echo "Installing into .venv from $lock …" >&2
if [ -d .venv ] && ! .venv/bin/python -c 'import pip' 2>/dev/null; then rm -rf .venv; fi  # an install that was killed
rm -f "$stamp"
[ -d .venv ] || "$python" -m venv .venv
if command -v uv >/dev/null 2>&1; then uv=$(command -v uv); else
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
  uv=.venv/bin/uv
fi
"$uv" pip install --quiet --python .venv/bin/python --require-hashes --compile-bytecode -r "$lock"
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
wanted "$1" > "$stamp"
