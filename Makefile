# Everything a person or CI does with this project. Needs make, a POSIX shell and Python 3.11 or newer; the rest is installed into .venv.
.POSIX:
.PHONY: demo test laws check bench format lock notebooks pictures clean

demo:  ## land real files and carry them to gold
	@sh scripts/venv.sh run
	@.venv/bin/python -m lake demo

test:  ## every test that fits in a quarter of an hour
	@sh scripts/venv.sh dev
	@sh scripts/browser.sh
	@sh scripts/systemd.sh || true  # without it the tests of the units are skipped
	@.venv/bin/python -m pytest $(ARGS)

laws:  ## the laws drawn long: every boundary at which a process can die, many histories of each model; LAKE_LAWS_MINUTES, LAKE_FUZZ_MINUTES, LAKE_LAWS_SEED
	@sh scripts/venv.sh dev
	@LAKE_LAWS=full .venv/bin/python -m pytest tests/laws $(ARGS)

check:  ## format, lint, types, import contracts, dependency hygiene, spelling, docs, committed schemas, deployments and notebooks
	@sh scripts/venv.sh dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/deptry .
	.venv/bin/typos
	.venv/bin/yamllint -s infra .github
	.venv/bin/python scripts/check_docs.py
	.venv/bin/python -m lake schema write --check
	.venv/bin/python -m lake deployments --check
	.venv/bin/python scripts/notebooks.py --check

bench:  ## measure against the same work written by hand; SCALE=1 REPEATS=3 WORK="A B" choose
	@sh scripts/venv.sh dev
	@SCALE="$(SCALE)" REPEATS="$(REPEATS)" WORK="$(WORK)" FLOOR="$(FLOOR)" .venv/bin/python -m tests.bench.run

format:  ## put every file into shape
	@sh scripts/venv.sh dev
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

lock:  ## resolve the dependencies anew
	@sh scripts/lock.sh

notebooks:  ## the notebooks as Jupyter's, in notebooks/jupyter, and as pages, in build/notebooks
	@sh scripts/venv.sh dev
	@.venv/bin/python scripts/notebooks.py

pictures:  ## draw the README's pictures from a lake made on the spot
	@sh scripts/venv.sh dev
	@.venv/bin/python scripts/pictures.py
	@sh scripts/browser.sh
	@LAKE_SCREENSHOTS=docs/images .venv/bin/python -m pytest -n 0 -q tests/test_up_page.py

clean:  ## remove the environment and caches; the data in .lake stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
