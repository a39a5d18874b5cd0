# make demo    the whole pipeline on scikit-learn's digits and its report, then its tables
# make test    every test that this machine can run, but for the long ones of make faults
# make faults  runs that are killed, disks that fill, damaged files: docs/reliability.md, and long trials of hostile files
# make check   lint, formatting, types and dry runs
# make lowest  dry runs with the lowest versions that pyproject.toml allows; planning needs no torch
# make docs    the demo, the ablations and the memorisation table, and their tables and figures copied to docs/ and README.md
# Each makes its own environment in .venv first.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
CORES ?= 2
RESULTS := results/digits

.PHONY: demo test faults check lowest docs

demo: $(VENV)/installed
	@PATH="$$PWD/$(BIN):$$PATH" snakemake --cores $(CORES) --quiet rules host reason -- all
	@PATH="$$PWD/$(BIN):$$PATH" snakemake --report $(RESULTS)/report.html --quiet all
	@echo; cat $(RESULTS)/tables/main.md; echo; cat $(RESULTS)/tables/matched.md
	@echo; echo "Tables, figures and report.html: $(RESULTS)/"

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto

faults: $(VENV)/installed
	FUZZ_EXAMPLES=500 $(BIN)/python -m pytest -n auto -m "" tests/faults tests/unit/test_fuzz.py

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check workflow
	$(BIN)/mypy
	$(call plan,$(BIN))

lowest:
	$(PYTHON) -m venv $(VENV)/lowest
	$(VENV)/lowest/bin/python -m pip install --quiet uv
	printf '%s; python_version < "3"\n' torch torchvision > $(VENV)/lowest/without
	$(VENV)/lowest/bin/uv pip install --quiet --python $(VENV)/lowest/bin/python --resolution lowest-direct \
		--overrides $(VENV)/lowest/without --editable ".[pipeline]"
	$(call plan,$(VENV)/lowest/bin)
	PATH="$$PWD/$(VENV)/lowest/bin:$$PATH" snakemake --profile slurm --dry-run all > /dev/null

# The linter, and a dry run of each configuration, by the Snakemake of an environment.
define plan
PATH="$$PWD/$(1):$$PATH" snakemake --lint
@for config in config/*/config.yaml; do \
	echo "dry run of $$config"; \
	PATH="$$PWD/$(1):$$PATH" snakemake --cores 1 --quiet rules --dry-run --configfile $$config -- all ablations || exit 1; \
done
endef

docs: demo
	@PATH="$$PWD/$(BIN):$$PATH" snakemake --cores $(CORES) --quiet rules host reason -- ablations memorisation
	$(BIN)/python docs/refresh.py

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@
