# The one door for people and CI.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
COMMAND_PORT ?= 8080
QUERY_PORT ?= 8081
RELAY_PORT ?= 8090
PROJECTOR_PORT ?= 8091

# A test's folder says which target runs it.
UNIT := tests/test_tidy.py tests/unit
NEAR := tests/contract tests/integration
FAR := tests/faults tests/fuzz tests/hostile tests/e2e
USUAL := not retail and not pgadmin and not siege
PYTEST := $(BIN)/python -m pytest --durations=20
WORKERS := 3
PURE = $(PYTEST) -q -n 2 --dist loadfile $(UNIT)
# With RETRY=1 the tests that failed, and nothing else that went wrong, have a second try.
again = $(if $(RETRY),|| { [ $$? -eq 1 ] && $(PYTEST) -m "$(USUAL)" --last-failed --last-failed-no-failures none $(1); })
# Tests of servers mostly wait: files run side by side. What asserts a time runs by itself (alone),
# and since that takes longest it is left to `make test-all`.
side_by_side = $(PYTEST) -m "$(USUAL) and not alone" -n $(WORKERS) --dist loadfile $(1) $(call again,$(1))
alone = $(PYTEST) -m "$(USUAL) and alone" $(1) $(call again,$(1))

.PHONY: help install ports up unit test test-all test-again test-servers test-retail test-pgadmin torture hostile closed siege
.PHONY: fuzz postman generate golden format screenshots vendor schema docs audit check bench bench-compare bench-memory bench-scale
help: ## show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some minutes the first time, less from pip's cache"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt \
		--editable '.[local,dev,docs,xlsx]'
	@touch $@

install: $(VENV)/.installed ## prepare .venv with everything

# Looked at before anything is fetched.
ports:
	@$(PYTHON) tools/ports.py COMMAND_PORT=$(COMMAND_PORT) QUERY_PORT=$(QUERY_PORT) \
		RELAY_PORT=$(RELAY_PORT) PROJECTOR_PORT=$(PROJECTOR_PORT)

up: ports install ## start everything (COMMAND_PORT=8080 QUERY_PORT=8081 RELAY_PORT=8090 PROJECTOR_PORT=8091)
	@$(BIN)/storelog up --command-port $(COMMAND_PORT) --query-port $(QUERY_PORT) \
		--relay-port $(RELAY_PORT) --projector-port $(PROJECTOR_PORT)

unit: install ## pure tests, no process, no network: half a minute
	$(PURE)

test: install ## what a change must pass: unit, contract, integration
	status=0; $(PURE) || status=1; $(call side_by_side,$(NEAR)) || status=1; exit $$status

test-all: install ## what `make test` leaves out: faults, fuzzing, hostile clients, deadlines, end to end
	status=0; $(call side_by_side,$(FAR)) || status=1; $(call alone,$(NEAR) $(FAR)) || status=1; exit $$status

test-again: install ## only the tests that failed the last time
	$(PYTEST) -m "$(USUAL)" --last-failed --last-failed-no-failures none

test-pgadmin: install ## fetch pgAdmin 4, start it, connect
	$(BIN)/python -m pytest -m pgadmin -s

test-servers: install ## with servers of Debian's packages and Go modules, kept in build/servers
	$(BIN)/python -m pytest -m servers -s tests/servers

test-retail: install ## the whole retail year (STORELOG_TEST_RETAIL_FILE names the file)
	$(BIN)/python -m pytest -m retail -s

torture: install ## faults for MINUTES=10, from SEED=N or a new one
	$(BIN)/storelog torture --minutes $(or $(MINUTES),10) $(if $(SEED),--seed $(SEED))

bench: install ## measure everything on servers of its own (QUICK=1: the short way)
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(if $(QUICK),--quick)

bench-compare: install ## two runs side by side (BEFORE=bench.json AFTER=build/bench/bench.json)
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.compared \
		$(or $(BEFORE),$(error Name the file of the earlier run: make bench-compare BEFORE=bench.json)) \
		$(or $(AFTER),build/bench/bench.json)

bench-scale: install ## as many of each process as the cores allow: what does one more add? (QUICK=1: the short way)
	PYTHONPATH=tests $(BIN)/python -m benchmarks.scale $(if $(QUICK),--quick)

bench-memory: install ## does any process grow? full load again and again (MINUTES=60)
	PYTHONPATH=tests $(BIN)/python -m benchmarks.memory --minutes $(or $(MINUTES),60)

hostile: install ## 100,000 malformed requests for each service
	STORELOG_HOSTILE_REQUESTS=100000 $(BIN)/python -m pytest -s tests/hostile/test_rubbish.py

closed: install ## 100,000 closed connections of each kind on each port (ON=relay KINDS='rejected;malformed')
	STORELOG_CLOSED_CONNECTIONS=100000 STORELOG_CLOSED_KINDS="$(KINDS)" $(BIN)/python -m pytest -s \
		tests/hostile/test_closed_connections.py $(if $(ON),-k "$(ON)")

siege: install ## 1,000 slow clients and rubbish for MINUTES=60: descriptors and memory stay flat
	STORELOG_SIEGE_MINUTES=$(or $(MINUTES),60) $(BIN)/python -m pytest -s -m siege

fuzz: install ## Schemathesis over both documents, until Ctrl-C
	STORELOG_FUZZ_SECONDS=forever $(BIN)/python -m pytest -m fuzz -s

$(AUDIT)/.installed: constraints.txt
	$(PYTHON) -m venv $(AUDIT)
	$(AUDIT)/bin/python -m pip install --quiet --constraint constraints.txt pip-audit cyclonedx-bom
	@touch $@

audit: install $(AUDIT)/.installed ## bill of materials, licences, known weaknesses
	$(AUDIT)/bin/python -m audit $(VENV)

postman: install ## run the Postman collection against a system of its own
	$(BIN)/python -m pytest -q -s tests/e2e/test_postman.py

docs: install ## build the site into build/site, without a warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

generate: install ## write the files that are made from the code
	$(BIN)/python -m generate

golden: install ## record tests/golden anew, for a change that is meant to be seen
	PYTHONPATH=tests $(BIN)/python -m golden.record

screenshots: install ## take the pictures of the console again, from the demo shop
	PYTHONPATH=tests $(BIN)/python -m generate.screenshots

vendor: install ## fetch the files of others that the console serves, and check their checksums
	PYTHONPATH=tests $(BIN)/python -m generate.vendor

schema: install ## draw docs/schema.md and schema.svg from a migrated PostgreSQL
	$(BIN)/python -m generate.schema

format: install ## write Python as the checks want it
	$(BIN)/ruff check --fix src tests generate audit benchmarks
	$(BIN)/ruff format src tests generate audit benchmarks

check: install ## format, lint, types, layers, tidy
	$(BIN)/ruff format --check src tests generate audit benchmarks
	$(BIN)/ruff check src tests generate audit benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/test_tidy.py
