#!/bin/sh
# Writes the two lock files from pyproject.toml: run.lock for using lake, dev.lock for working on it (a superset, same versions; also the engines of partitions).
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .venv/bin/uv)
compile() { "$uv" pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header "$@" >/dev/null; }
compile --all-extras --group build --group check --group test --output-file requirements/dev.lock
compile --extra demo --extra notebooks --extra observe --group build --constraints requirements/dev.lock --output-file requirements/run.lock
