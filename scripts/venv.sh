#!/bin/sh
# Makes .venv from a lock file (run.lock or dev.lock), every package checked against its hash. Uses uv if it is there, else brings it into the venv.
set -eu
cd "$(dirname "$0")/.."
lock="requirements/$1.lock"
stamp=".venv/.installed"
want=$(cat "$lock" pyproject.toml | cksum)
if [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$want" ] && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi
if [ "$1" = run ] && [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" = "$(cat requirements/dev.lock pyproject.toml | cksum)" ] && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi

python=""
for name in python3.11 python3.12 python3.13 python3 python; do
  if command -v "$name" >/dev/null 2>&1 && "$name" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then python=$name; break; fi
done
if [ -z "$python" ]; then echo "lake needs Python 3.11, 3.12 or 3.13 on the PATH" >&2; exit 1; fi

echo "Installing into .venv from $lock …" >&2
if [ -d .venv ] && ! .venv/bin/python -c '' 2>/dev/null; then rm -rf .venv; fi  # the folder was moved or copied: its paths are stale
rm -f "$stamp"
[ -d .venv ] || "$python" -m venv .venv
if command -v uv >/dev/null 2>&1; then uv=$(command -v uv); else
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
  uv=.venv/bin/uv
fi
"$uv" pip install --quiet --python .venv/bin/python --require-hashes --compile-bytecode -r "$lock"
"$uv" pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
printf '%s\n' "$want" > "$stamp"
