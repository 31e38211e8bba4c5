# Everything works from a clean clone with git, make and Python 3.11 or later. `make help` lists the targets.
# Portable to BSD make's and macOS's GNU make 3.81: no features of newer makes.

export DAGSTER_DISABLE_TELEMETRY = yes

VENV = .venv
BIN = $(VENV)/bin
# checkov and parliament pin other versions of boto3 than Dagster: an environment of their own, with the AWS CLI.
JUDGES = .venv-infra
MIRROR = mirror
LONG = -m long
# Spoiled documents for each decoder in `make campaigns`; `make test` tries 2,000, always the same.
FUZZ_EXAMPLES = 100000
# Hostile paths, and as many hostile headers, over each store in `make campaigns`; `make test` tries 400 of each.
GATEWAY_EXAMPLES = 5000
PYTEST = $(BIN)/python -m pytest
SOURCES = brew_assets brew_assets_tests benchmarks tools
ABOUT_TESTS = about half an hour on two cores, first those of one process, then daemons and infra/ side by side
# So many packages a lock names.
COUNT = grep -c '^[A-Za-z0-9].*=='
# PostgreSQL's launcher asks for a folder that it then does not need.
QUIET_AWS = ignore:XDG_RUNTIME_DIR
DEMO_MARK = $(MIRROR)/.simulated
REFUSE_DEMO = if [ -z "$${MIRROR_URL+set}" ] && [ -f $(DEMO_MARK) ]; then \
	echo "$(MIRROR)/ holds the demo's simulated bottles: run 'make demo-clean' first, or name another place with MIRROR_URL"; \
	exit 2; fi

.PHONY: help install dev-install demo demo-ui demo-clean dev dev-aws sync test test-stories test-aws test-browser test-infra check format lock \
	build benchmark benchmark-planning benchmark-lambda benchmark-serving campaigns screenshots clean

help: ## Show this list
	@awk -F ':.*## ' '/^##@ / { printf "\n%s\n", substr($$0, 5) } \
	/^[a-z-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' Makefile

##@ Install

install: $(VENV)/.runtime ## Prepare .venv with the locked dependencies and the command brew-mirror

dev-install: $(VENV)/.dev ## The same with what tests and checks need

$(VENV)/.python:
	@tools/make-venv $(VENV)
	@touch $@

$(VENV)/.runtime: requirements.lock pyproject.toml $(VENV)/.python
	@echo "Installing $$($(COUNT) requirements.lock) packages into $(VENV) (a minute or two) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  --config-settings editable_mode=compat -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.runtime
	@echo "Installing what tests and checks need, $$($(COUNT) requirements-dev.lock) packages in all (a few minutes) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(JUDGES)/.done: requirements-infra.lock $(VENV)/.dev
	@tools/make-venv $(JUDGES)
	@echo "Installing what judges infra/, $$($(COUNT) requirements-infra.lock) packages, into $(JUDGES) (a minute or two) …"
	@$(JUDGES)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-infra.lock
	@touch $@

.dagster_home/dagster.yaml .demo/dagster.yaml: infra/dagster/laptop/dagster.yaml
	@mkdir -p $(@D)
	@cp infra/dagster/laptop/dagster.yaml $@

##@ Run

demo: install .demo/dagster.yaml ## Run the whole job in Dagster against a simulated upstream into ./mirror
	@$(BIN)/python -m brew_assets.demo --mirror $(MIRROR) --home .demo

$(DEMO_MARK):
	@$(MAKE) demo

demo-ui: install .demo/dagster.yaml $(DEMO_MARK) ## Play with Dagster's UI (http://127.0.0.1:3000) after the demo
	@$(BIN)/python -m brew_assets.demo_ui --mirror $(MIRROR) --home .demo

demo-clean: ## Remove ./mirror if it holds the demo's simulated bottles
	@if kill -0 "$$(sed -n 1p .demo/demo-ui.running 2>/dev/null)" 2>/dev/null; then \
	echo "make demo-ui runs at $$(sed -n 2p .demo/demo-ui.running): end it first, with Ctrl-C there"; exit 2; fi
	@if [ -f $(DEMO_MARK) ]; then rm -rf $(MIRROR) .demo; echo "Removed $(MIRROR)/ and .demo/."; \
	else echo "$(MIRROR)/ does not hold the demo's bottles; nothing was removed."; fi

dev: install .dagster_home/dagster.yaml ## Open Dagster's UI (http://127.0.0.1:3000) on this project
	@$(REFUSE_DEMO)
	@echo "Starting Dagster on this project: http://127.0.0.1:3000 answers in half a minute. Ctrl-C ends it."
	@echo "Schedule and sensors mirror real bottles into MIRROR_URL ($(MIRROR)/ by itself); SCHEDULE_ENABLED=false leaves them off."
	@DAGSTER_HOME="$$(pwd)/.dagster_home" $(BIN)/dg dev -w workspace.yaml -h 127.0.0.1

dev-aws: dev-install ## Open Dagster on a local AWS: PostgreSQL, ECS tasks and Lambdas as processes
	@PYTHONWARNINGS='$(QUIET_AWS)' $(BIN)/python -m brew_assets_tests.deployed.dev

sync: install ## Mirror real bottles: make sync FORMULAE="jq ripgrep" PLATFORMS=arm64_sonoma
	@$(REFUSE_DEMO)
	@MIRROR_URL="$${MIRROR_URL-$(MIRROR)}" $(BIN)/brew-mirror sync \
	$$(for name in $(FORMULAE); do echo "--formula $$name"; done) \
	$$(for tag in $(PLATFORMS); do echo "--platform $$tag"; done)

##@ Test

test: dev-install ## Run all tests
	@echo "Running all tests: $(ABOUT_TESTS) …"
	$(PYTEST) -n 3 --dist worksteal -m "not long and not aws and not browser and not infra" $(ARGS)
	$(MAKE) -j 2 test-stories test-infra

# Daemons, tasks and Terraform wait more than they work: both halves at the same time.
test-stories: dev-install $(JUDGES)/.done ## Run only the stories: on a local AWS, and in Dagster's UI
	$(PYTEST) -n 3 --dist loadfile -m "aws or browser" $(ARGS)

test-aws: dev-install $(JUDGES)/.done ## Run only the stories on a local AWS, with a real daemon, ECS tasks and Lambdas
	$(PYTEST) -n 2 --dist loadfile -m aws $(ARGS)

test-browser: dev-install ## Run only the clicks through Dagster's UI (needs Chromium)
	$(PYTEST) -m browser $(ARGS)

test-infra: $(JUDGES)/.done ## Run only the tests of infra/terraform (needs terraform)
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder -m infra $(ARGS)

campaigns: dev-install ## Run the long campaigns: 200 kills, 20 syncs under fire, 50 pairs that publish at once, 50,000 bottles, fuzz
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(PYTEST) -n 2 --timeout 7200 brew_assets_tests/fuzz $(ARGS)
	GATEWAY_EXAMPLES=$(GATEWAY_EXAMPLES) $(PYTEST) --timeout 7200 brew_assets_tests/runtimes/gateway/test_hostile_requests.py $(ARGS)
	$(PYTEST) $(LONG) $(ARGS)

check: dev-install ## Format, lint, types, import rules
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev-install ## Format and mend what can be mended
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

##@ Measure and renew

lock: dev-install ## Renew the lock files from pyproject.toml and tools/lock
	tools/lock $(BIN)/uv

build: dev-install ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w dist .
	@ls dist/*.whl

benchmark: dev-install ## Compare with rclone and aria2 then s5cmd (15 minutes); renews docs/performance.md
	$(BIN)/python -m benchmarks.throughput --output docs/performance.md $(ARGS)
	$(BIN)/python -m benchmarks.tls_profile --output docs/performance.md

benchmark-planning: dev-install ## Planning with 250,000 held bottles (needs the real catalogues)
	$(BIN)/python -m benchmarks.planning --output docs/performance.md $(ARGS)

benchmark-lambda: dev-install ## The Lambda route beside the in-process route; renews docs/performance.md
	$(BIN)/python -m benchmarks.lambda_route --output docs/performance.md $(ARGS)

benchmark-serving: dev-install ## The gateway beside nginx (4 minutes); renews docs/performance.md
	$(BIN)/python -m benchmarks.serving --output docs/performance.md $(ARGS)

screenshots: dev-install ## Renew the pictures of the README (needs Chromium)
	$(BIN)/python -m tools.screenshots

##@ Clean up

clean: ## Remove .venv and what tools left; no bottles
	rm -rf $(VENV) $(JUDGES) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist *.egg-info
