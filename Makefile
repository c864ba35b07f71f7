# make run: everything from a bare machine to the result table. make test: the same for the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
QUIETLY := -m pip install --quiet --quiet --disable-pip-version-check
INSTALL := $(BIN)/python $(QUIETLY)
AIRFLOW := .venv-airflow
AIRFLOW_PORT := 8080
AIRFLOW_TASKS := 2
STEPS := 500
SEED := 0
AIRFLOW_ADDRESS = http://127.0.0.1:$(AIRFLOW_PORT)

# kedro-viz and mlflow send no usage statistics.
export DO_NOT_TRACK := true

.PHONY: airflow airflow-check clean-runs dags help run test test-all mutate chaos check data docs lock
.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/.installed ## install what is missing, run the main job, print the result table
	@$(BIN)/python -m contrastive_har.runs.showing || { test $$? -eq 3 && $(BIN)/kedro run; }

# One test process per core, each with one thread: tests are too small for several threads. Coverage costs a third more time.
test: $(VENV)/.installed-dev ## install what is missing, run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=logical --dist=worksteal

test-all: $(VENV)/.installed-dev ## the same with all tests, also those that take long, and their coverage
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "" --numprocesses=logical --dist=worksteal --cov --cov-report=term

# ONLY names the functions to change, such as 'contrastive_har.scores.*'; a first run takes hours without it.
mutate: $(VENV)/.installed-mutation ## change the code and see which changes no test notices: make mutate ONLY='contrastive_har.scores.*'
	OMP_NUM_THREADS=1 $(BIN)/mutmut run $(if $(ONLY),'$(ONLY)')
	@$(BIN)/mutmut results

chaos: $(VENV)/.installed-dev ## disturb runs on tiny data at random: make chaos STEPS=500 SEED=1
	$(BIN)/python -m tests.pipelines.chaos --steps=$(STEPS) --seed=$(SEED)

check: $(VENV)/.installed-dev ## ruff, mypy, import-linter and the documentation site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --quiet --strict

clean-runs: $(VENV)/.installed ## remove all but the newest runs: make clean-runs KEEP=5
	$(BIN)/python -m contrastive_har.runs.cleaning --keep=$(KEEP)

dags: $(VENV)/.installed ## write DAGs for Airflow into dags/
	$(BIN)/python -m contrastive_har.runs.dags

# Pages and API are reachable from this machine only. At its first start Airflow creates a password for the user admin.
# All DAGs together run at most AIRFLOW_TASKS tasks at a time, with one process each: the default of Airflow is 32.
# A terminal sends Ctrl-C to a whole process group, and standalone sends it on to its child processes, which hang if they
# receive it twice. So standalone has its own process group (set -m), and the trap sends Ctrl-C to standalone only.
airflow: SHELL := bash
airflow: $(AIRFLOW)/.installed dags ## start Airflow with these DAGs: make airflow AIRFLOW_PORT=8080
	@echo "Airflow will be at $(AIRFLOW_ADDRESS): user admin, and the password in"
	@echo "$(CURDIR)/.airflow/simple_auth_manager_passwords.json.generated. Ctrl-C ends it."
	@set -m; PATH="$(CURDIR)/$(AIRFLOW)/bin:$$PATH" AIRFLOW_HOME="$(CURDIR)/.airflow" \
		AIRFLOW__CORE__DAGS_FOLDER="$(CURDIR)/dags" AIRFLOW__CORE__LOAD_EXAMPLES=False \
		AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT=$(AIRFLOW_PORT) AIRFLOW__API__BASE_URL=$(AIRFLOW_ADDRESS) \
		AIRFLOW__CORE__EXECUTION_API_SERVER_URL=$(AIRFLOW_ADDRESS)/execution/ \
		AIRFLOW__CORE__PARALLELISM=$(AIRFLOW_TASKS) \
		airflow standalone & \
		trap "trap '' INT TERM; kill -INT $$!" INT TERM; wait; wait

airflow-check: $(AIRFLOW)/.installed $(VENV)/.installed-dev ## run a DAG under a real Airflow, and kill a task of it
	$(BIN)/python -m tests.pipelines.scheduler --airflow=$(AIRFLOW)/bin/airflow

data: $(VENV)/.installed ## download a public data set: make data DATASET=motion_sense
	$(BIN)/python -m contrastive_har.sources.download $(DATASET)

docs: $(VENV)/.installed-dev ## serve the documentation site on this machine
	$(BIN)/mkdocs serve

# torch is installed first and pinned: a version range would select the newest build.
$(VENV)/.installed: pyproject.toml requirements.lock
	@echo "Installing into $(VENV): 2 to 5 minutes the first time."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) torch==2.13.0
	$(INSTALL) --constraint requirements.lock --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --constraint requirements.lock --editable ".[dev]"
	@touch $@

$(VENV)/.installed-mutation: $(VENV)/.installed-dev
	$(INSTALL) --constraint requirements.lock --editable ".[mutation]"
	@touch $@

# An environment without Kedro and torch: tasks run in the environment of the project.
$(AIRFLOW)/.installed: Makefile
	@echo "Installing Airflow into $(AIRFLOW): 1 to 2 minutes the first time."
	test -x $(AIRFLOW)/bin/python || $(PYTHON) -m venv $(AIRFLOW)
	$(AIRFLOW)/bin/python $(QUIETLY) apache-airflow==3.3.2 apache-airflow-providers-standard==1.21.0
	@touch $@

# Use the oldest supported Python (make lock PYTHON=...): with a newer one, pip may choose packages that no longer
# support the oldest.
lock: ## write the versions of a fresh environment to requirements.lock
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/python -m pip install --quiet torch==2.13.0
	$(VENV)-lock/bin/python -m pip install --quiet --editable ".[mutation]"
	$(VENV)-lock/bin/python -m pip freeze --exclude-editable | grep -v '^torch==' > requirements.lock
	rm -rf $(VENV)-lock
