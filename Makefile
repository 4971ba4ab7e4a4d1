# `make help` lists what can be typed. Each target makes the virtual environment that it needs, and keeps it up to date.

PYTHON ?= python3
VENV ?= .venv
# Workers that run tests side by side: one more than processors, as most tests wait for something most of the time.
JOBS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 1) + 1)))
# More arguments for pytest, e.g. make test PYTEST_ARGS="-k reload"
PYTEST_ARGS ?=
# And for the benchmark: make bench BENCH_ARGS=--quick
BENCH_ARGS ?=

# Nothing that the caller's shell has set for another project may reach into the virtual environment.
unexport PYTHONPATH PYTHONHOME PIP_USER PIP_TARGET PIP_PREFIX VIRTUAL_ENV
# Commands, and the programs that circusd starts, come from the virtual environment first.
IN_VENV = PATH="$(abspath $(VENV))/bin:$$PATH"

# PyPI circus 0.19, whose clients and daemon the tests let talk to ours, in an environment of its own.
CIRCUS_PEER_VENV ?= .bench/circus-0.19.0

# Commands that the tests use, and the Debian packages that have them.
TOOLS = nginx=nginx openssl=openssl prometheus=prometheus ps=procps redis-server=redis-server setpriv=util-linux \
	tmux=tmux wrk=wrk

# Distributions of their own, and the files that what is installed of them comes from.
CONTRIB = $(patsubst %/pyproject.toml,%,$(wildcard contrib_plugins/*/pyproject.toml))
CONTRIB_FILES = $(wildcard $(CONTRIB:=/pyproject.toml) $(CONTRIB:=/README.md) $(CONTRIB:=/circus_*/*.py))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: run test bench lint docs dist clean help

run: $(VENV)/.with-ssh,yaml ## start circusd on examples/quickstart.ini (Ctrl-C ends it)
	@$(IN_VENV) exec circusd examples/quickstart.ini

test: $(VENV)/.with-test $(VENV)/.contrib $(CIRCUS_PEER_VENV)/bin/circusd ## run all tests, in parallel
	@tools/need $(TOOLS)
	@$(IN_VENV) CIRCUS_PEER_VENV="$(abspath $(CIRCUS_PEER_VENV))" pytest -n $(JOBS) $(PYTEST_ARGS)

bench: $(VENV)/.with-bench ## measure Circus beside PyPI circus 0.19 and supervisor
	@tools/need wrk=wrk
	@$(IN_VENV) python -m benchmarks $(BENCH_ARGS)

lint: $(VENV)/.with-lint ## check the style (ruff) and the types (mypy --strict)
	@$(IN_VENV) ruff check --quiet
	@$(IN_VENV) ruff format --check --quiet
	@$(IN_VENV) mypy --no-error-summary

# Pages depend on tables in the code, which Sphinx does not see: -E has it read all of them.
docs: $(VENV)/.with-docs ## build the documentation into docs/_build/html, and the man pages
	@$(IN_VENV) sphinx-build -q -E -W --keep-going -b html docs docs/_build/html
	@$(IN_VENV) sphinx-build -q -E -W --keep-going -b man docs docs/_build/man
	@echo "docs/_build/html/index.html"

dist: $(VENV)/.with-dist ## build the wheel and the source archive into dist/
	@log=$$(mktemp); $(IN_VENV) python -m build --outdir dist . >$$log 2>&1 || { cat $$log; exit 1; }; rm -f $$log
	@ls -1 dist/*

clean: ## remove everything that make has made, the virtual environment too
	@rm -rf $(VENV) build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

$(CIRCUS_PEER_VENV)/bin/circusd:
	@echo "Installing PyPI circus 0.19.0 into $(CIRCUS_PEER_VENV)"
	@"$(PYTHON)" -m venv "$(CIRCUS_PEER_VENV)"
	@"$(CIRCUS_PEER_VENV)/bin/python" -m pip install -qq --disable-pip-version-check circus==0.19.0

# Installed as a user would, without a link to the sources, and anew when they change.
$(VENV)/.contrib: $(VENV)/.with-test $(CONTRIB_FILES)
	@echo "Installing $(notdir $(CONTRIB)) into $(VENV)"
	@"$(VENV)/bin/python" -m pip install -qq --disable-pip-version-check $(addprefix ./,$(CONTRIB))
	@touch "$@"

# The stamp of one set of extras; what a release needs changes with these two files alone.
$(VENV)/.with-%: setup.cfg pyproject.toml tools/venv
	@tools/venv "$(PYTHON)" "$(VENV)" "$*"
	@touch "$@"
