# Every target sets up what it needs: uv, and in .venv what uv.lock names.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run up test check bench clean

help: ## Say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  make %-8s %s\n", $$1, $$2}'
	@echo
	@echo '  make run VIDEO=interview.mp4   streams a recording instead of the generated candidate'
	@echo '  make run ONCE=1                ends after the report'
	@echo '  make test TESTS=tests/unit     runs part of the tests'

run: .venv/.synced ## Start everything, stream a demo candidate, print the feed and the report, serve the dashboard
	@.venv/bin/candor demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(VIDEO),--video "$(VIDEO)")

up: .venv/.synced ## Start everything and wait for candidates of yours
	@.venv/bin/candor up

test: .venv/.synced ## Run the tests
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	    echo 'Chromium is not here: the browser tests will be skipped (Debian, Ubuntu: apt-get install chromium).'
	@command -v espeak-ng >/dev/null || \
	    echo 'espeak-ng is not here: tests that synthesise their own sentences will be skipped (apt-get install espeak-ng).'
	.venv/bin/pytest $(TESTS)

check: .venv/.synced ## Lint, formatting, types and import contracts
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: .venv/.synced ## Measure, and print the README's figures for this machine
	.venv/bin/python -m bench

clean: ## Remove what was set up and what ran (.venv, .tools, .candor)
	rm -rf .venv .tools .candor

.venv/.synced: pyproject.toml uv.lock deploy/setup.sh
	@deploy/setup.sh
	@touch $@
