# One command each. `make run` and `make test` set up what they need.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export HF_HUB_OFFLINE := 1

.PHONY: run ask annotate simulate snapshot retrain report nightly test browser prove cloud-rehearsal bench check clean

run: $(STAMP)
	@exec $(BIN)/python -m scripts.run

ask: $(STAMP)
	@$(BIN)/python -m scripts.ask "$(Q)"

annotate: $(STAMP)
	@exec $(BIN)/python -m scripts.annotate

simulate: $(STAMP)
	@$(BIN)/python -m scripts.simulate_traffic $(ARGS)

snapshot: $(STAMP)
	@$(BIN)/python -m scripts.snapshot $(ARGS)

retrain: $(STAMP)
	@$(BIN)/python -m training.retrain $(ARGS)

report: $(STAMP)
	@$(BIN)/python -m scripts.report $(ARGS)

nightly: $(STAMP)
	@$(BIN)/python -m scripts.nightly $(ARGS)

test: $(STAMP) browser
	$(BIN)/python -m pytest -m 'not prove'

# The tests of the page drive the system's Chromium; no browser is downloaded from elsewhere.
browser:
	@command -v chromium >/dev/null || { \
	  test "$$(id -u)" = 0 && root= || root="sudo -n"; \
	  command -v apt-get >/dev/null && $$root true 2>/dev/null && \
	    echo "installing chromium for the browser tests (once, with apt-get)" && \
	    $$root apt-get update -qq >/dev/null && \
	    $$root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	  command -v chromium >/dev/null || { \
	    echo "The browser tests need Chromium: install your system's package, so that 'chromium' is on the PATH."; exit 1; }; }

prove: $(STAMP)
	$(BIN)/python -m pytest -m prove -s

cloud-rehearsal: $(STAMP)
	@$(BIN)/python -m tests.cloud_rehearsal

bench: $(STAMP)
	$(BIN)/python -m benchmarks.serving

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.write_schema --check

# torch first and alone: its pinned version must be there before anything else asks for "any torch".
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "making $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV) || { \
	  echo "This needs Python 3.11 with venv: install it, or run make with PYTHON=/path/to/python3.11"; exit 1; }; }
	@echo "installing the pinned dependencies (the first time this takes a few minutes)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .hub
