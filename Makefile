# Two commands do everything on a machine with Python 3.11 or newer: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: docs site help setup dev demo test test-deep test-long test-scale test-buckets test-spark check fix types lock sample bench bench-large clean

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -q

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.setup  ## make .venv with the locked dependencies and rmetrics itself

dev: .venv/.dev  ## setup, and the tools of `make check` and `make test`

demo: setup  ## sync the sample exports into the embedded Postgres and show the months against target
	@$(BIN)/python data/make_sample.py data/sample >/dev/null
	@mkdir -p data/inbox && cp -p data/sample/*.csv data/sample/*.xlsx data/inbox/
	$(BIN)/rmetrics sync --months 1
	@printf '\nTry next:\n'
	@printf '  %s\n' \
		'.venv/bin/rmetrics sync                   again: nothing changed, nothing is written' \
		'.venv/bin/rmetrics status                 feeds, published tables, last runs' \
		'.venv/bin/rmetrics explain --source Google --month 2024-11     why these numbers, down to the rows' \
		'edit rules/sources.toml (per_lead = 25.00), then' \
		'.venv/bin/rmetrics plan                   the effect of the edit; then sync, then' \
		'.venv/bin/rmetrics history --month 2024-11' \
		'.venv/bin/rmetrics serve                  a local page: click any number to see its proof' \
		'.venv/bin/rmetrics report                 charts and tables as one HTML page' \
		'.venv/bin/rmetrics db start --port 5433   keep Postgres running; prints its URL for Grafana, psql or JDBC'

test: check  ## check, then the ordinary tests: three to six minutes on two cores
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "not slow and not deep and not scale and not spark"
	@printf '%s\n' 'Not run:' \
		'  make test-deep    kills, other users, damage, browsers, many syncs in a row: about ten minutes' \
		'  make test-scale   a lake in a bucket, and Apache Spark, which needs Java 17: up to ten minutes' \
		'  make test-long    every variant and many more examples of all but the last: an hour or more'

test-deep: dev  ## the tests that take long by their nature: about ten minutes on two cores
	$(PYTEST) -n $(WORKERS) --dist loadfile -m "deep and not slow and not scale and not spark"

test-long: dev  ## every test but those of test-scale, with all variants: an hour or more
	$(PYTEST) -n $(WORKERS) -m "not scale and not spark"

test-scale: test-buckets test-spark  ## a lake in a bucket, and Apache Spark

test-buckets: dev  ## a lake in a bucket, on an S3 server that the tests start on this machine
	$(BIN)/pytest -m scale tests/scale

test-spark: .venv/.spark  ## Apache Spark: two executor processes on this machine; needs Java 17
	@command -v java >/dev/null || test -x "$$JAVA_HOME/bin/java" || { \
		echo 'Java 17 or newer is needed (Debian: apt-get install openjdk-17-jre-headless).'; exit 1; }
	$(BIN)/pytest -m spark tests/spark

# With bytecode, whatever the shell says: without it each worker and program compiles all tests or modules again.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest
# One more than there are cores: tests wait for programs and for the database.
WORKERS := $(shell expr 1 + $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2))

check: dev  ## style, types and layers, as in CI before the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: dev  ## apply automatic fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: dev
	$(BIN)/mypy

lock: dev  ## recompile the locked requirements from pyproject.toml
	$(BIN)/uv pip compile pyproject.toml --group build $(LOCK_OPTIONS) -o requirements.txt
	$(BIN)/uv pip compile pyproject.toml --group dev --extra pull --extra s3 $(LOCK_OPTIONS) -o requirements-dev.txt
	$(BIN)/uv pip compile pyproject.toml --extra spark -c requirements-dev.txt $(LOCK_OPTIONS) -o requirements-spark.txt
	$(BIN)/uv pip compile pyproject.toml --group bench -c requirements.txt $(LOCK_OPTIONS) -o requirements-bench.txt
	$(BIN)/uv pip compile --group site $(LOCK_OPTIONS) -o requirements-site.txt
	grep -oE '^duckdb==[0-9.]+' requirements.txt | \
		$(BIN)/uv pip compile --group bench-dbt -c /dev/stdin --no-strip-extras $(LOCK_OPTIONS) -o requirements-bench-dbt.txt
LOCK_OPTIONS := --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -q

sample: setup  ## regenerate data/sample; the bytes are the same every time
	$(BIN)/python data/make_sample.py data/sample

docs: dev  ## regenerate parts of docs/schema*.md, the Grafana kit and the picture of the architecture
	$(BIN)/python docs/make_schema_docs.py
	$(BIN)/python docs/make_architecture.py

site: docs .venv-site/.setup  ## the documentation as a site in build/site, its links checked
	.venv-site/bin/zensical build --clean --strict

bench: bench-setup  ## measure against other tools, some minutes: benchmarks/results/bench.json, docs/benchmarks.md
	$(BENCH)/python benchmarks/run.py --jobs 125000 500000 --alone 125000 --name bench $(BENCH_OPTIONS)
	$(BENCH)/python benchmarks/report.py benchmarks/results/bench.json

SIZES ?= 100000 500000 1000000 5000000 20000000
bench-large: bench-setup  ## the same up to 20 million jobs: an hour or more, 60 GB of disk; SIZES="100000 500000" for less
	$(BENCH)/python benchmarks/run.py --jobs $(SIZES) --name large $(BENCH_OPTIONS)
	$(BENCH)/python benchmarks/report.py benchmarks/results/large.json

.PHONY: bench-setup
bench-setup: setup .venv-bench/.setup .venv-bench-dbt/.setup
	$(BENCH)/python -m pip --disable-pip-version-check --no-input -q install --no-deps --no-build-isolation --force-reinstall .
BENCH := .venv-bench/bin

clean:  ## remove the environment and the demo's data
	-$(BIN)/rmetrics db stop
	rm -rf .venv .venv-site .venv-bench .venv-bench-dbt data/lake data/postgres data/postgres.lock data/postgres.start.lock data/inbox/*

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or say make PYTHON=/path/to/python3"; exit 1; }
	@printf "Making .venv with %s\n" "$$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

.venv/.setup: requirements.txt pyproject.toml | .venv/bin/python
	@printf 'Installing what rmetrics needs into .venv: about 680 MB on disk, a minute or so.\n'
	@{ $(BIN)/python -m pip --disable-pip-version-check --no-input install --progress-bar off --require-hashes \
		-r requirements.txt; echo "exit $$?"; } | $(SHOWN)
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# One line that counts what pip has found, rewritten on a terminal; its errors are not touched, nor whether it failed.
SHOWN = awk -v total="$$(grep -c '^[a-z].*==' requirements.txt)" -v tty="$$([ -t 2 ] && echo 1)" ' \
	function told(text) { if (tty) printf "\r\033[K  %s", text; else print "  " text; fflush() } \
	/^(Collecting|Processing) / { sub(/.*\//, "", $$2); n++; if (tty || n % 10 == 0) told(n " of " total ": " $$2) } \
	/^Installing collected/ { told("installing them ...") } \
	/^exit / { failed = $$2 } \
	END { if (!failed) told("done"); if (tty) print ""; exit failed }'

.venv/.dev: requirements-dev.txt .venv/.setup
	$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

.venv/.spark: requirements-spark.txt .venv/.dev
	@printf 'Installing Apache Spark into .venv: about 550 MB on disk.\n'
	$(PIP) install --require-hashes -r requirements-spark.txt
	@touch $@

.venv-site/.setup .venv-bench/.setup .venv-bench-dbt/.setup: .venv-%/.setup: requirements-%.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check --no-input -q install --require-hashes -r $<
	@touch $@
