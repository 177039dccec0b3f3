# Every task of the project. `make` alone lists them.

PYTHON ?= python3
PROFILE ?= paper
PORT ?= 8000
# Which engine hands out the jobs of `make cluster`: laptop, slurm or kubernetes, a folder of workflow/profiles; settings
# of the workflow, such as SETTINGS="threads=4 options='--stride 6'"; further options of Snakemake.
ON ?= laptop
SETTINGS ?=
CLUSTER ?=
# Options of the benchmarks, such as BENCH=--quick, BENCH="--only steps errors" or BENCH="--device cuda".
BENCH ?=
# Options of the campaign of kills and damages, such as TORTURE="--kills 10 --damages 20 --seed 7".
TORTURE ?=
# Where pip finds torch: an index, or pypi, whose Linux build brings gigabytes of CUDA libraries. Empty means on Linux
# PyTorch's own index of builds without CUDA, see .ci/install_torch.py.
TORCH_INDEX ?=
# Public address of the repository, https://host/owner/name or what git clones, for the book's launch buttons; the
# publishing workflow sets it, empty means none.
export QPATCH_REPOSITORY_URL ?=
# The branch that they open.
export QPATCH_REPOSITORY_BRANCH ?= main
# Public address of the site, https://host/path/, for link previews (which need Chromium) and the list of its pages;
# likewise.
export QPATCH_SITE_URL ?=
# Names of the PDF, the EPUB and the archive that lie beside the pages, for the front page to link; the publishing
# workflow sets them and puts the files there.
export QPATCH_PDF ?=
export QPATCH_EPUB ?=
export QPATCH_ARCHIVE ?=
# Set for a site for the public: the build then refuses to go without the repository's address and the PDF.
export QPATCH_RELEASE ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CLUSTER_BIN := .venv-cluster/bin
CLUSTER_INSTALLED := .venv-cluster/.installed
TORCH_BUILD := $(VENV)/.torch
SITE := _build/html

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup book test test-slow torture lint study cluster cluster-setup cluster-test bench bench-setup serve spell site-test pdf epub offline student clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## create .venv and install everything (PYTHON=python3, TORCH_INDEX=)

book: setup  ## run the missing class-profile runs, execute all chapters, build the site
	@$(BIN)/python -m book.site.build

student: setup  ## write notebooks for students (stubs) and instructors (solutions, executed) into _build
	$(BIN)/python -m book.site.course

test: setup  ## run the test suite, on all processors
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal

test-slow: setup  ## run the tests of minutes or more
	$(BIN)/python -m pytest -m slow

torture: setup  ## kill and damage runs at random, write data/torture.json; hours (TORTURE=options)
	TQDM_DISABLE=1 PYTHONPATH=.:tests $(BIN)/python tests/torture/campaign.py $(TORTURE)

lint: setup  ## check style, format and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

spell: setup  ## check the spelling of the prose; words no dictionary knows are in book/words.txt
	@command -v hunspell >/dev/null && hunspell -D 2>&1 </dev/null | grep -q en_GB || { \
	  echo "Hunspell and its British dictionary are missing; install hunspell and hunspell-en-gb" >&2; exit 1; }
	$(BIN)/pyspelling --config .pyspelling.yml

study: setup  ## run a whole sweep, the expected time first (PROFILE=paper, seeds, class or smoke)
	$(BIN)/qpatch sweep --profile $(PROFILE)

cluster: setup cluster-setup  ## run a whole sweep as jobs of a cluster (PROFILE=, ON=slurm, kubernetes or laptop)
	@[ "$(ON)" != slurm ] || command -v sbatch >/dev/null || { \
	  echo "There is no Slurm here, no command sbatch: start this on a login node, or take ON=laptop" >&2; exit 1; }
	@[ -d "workflow/profiles/$(ON)" ] || { \
	  echo "ON is $(ON); it must be one of $$(ls workflow/profiles | xargs)" >&2; exit 1; }
	cd workflow && ../$(CLUSTER_BIN)/snakemake --profile profiles/$(ON) --config study=$(PROFILE) $(SETTINGS) $(CLUSTER)

cluster-setup: $(CLUSTER_INSTALLED)  ## create .venv-cluster, the environment of the workflow alone

cluster-test: setup cluster-setup  ## run the smoke profile on a Slurm of two nodes on this machine, as root
	$(BIN)/python -m pytest -m slurm tests/slurm

bench: setup  ## measure speed, memory and errors on this machine, some twenty minutes (BENCH=--quick: two)
	$(BIN)/python -m benchmarks $(BENCH)

bench-setup: setup  ## install the other simulators that `make bench` compares with
	$(BIN)/pip install --requirement requirements-bench.txt --constraint requirements.txt --constraint constraints.txt

serve: $(SITE)/index.html  ## serve the built book on this machine (PORT=8000)
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(SITE) $(PORT)

site-test: setup $(SITE)/index.html  ## check pages, links and downloads of the built book, most in headless Chromium
	$(BIN)/python -m pytest --numprocesses 2 tests/site

pdf: setup $(SITE)/index.html  ## print the built book into one file, _build/qpatch.pdf (needs Chromium)
	$(BIN)/python -m book.site.printing $(SITE) _build/qpatch.pdf

epub: setup $(SITE)/index.html  ## write the built book into one file for e-readers, _build/qpatch.epub
	$(BIN)/python -m book.site.epub _build/qpatch.epub

offline: setup $(SITE)/index.html  ## pack the built site into one archive to read without a network, _build/qpatch.zip
	$(BIN)/python -m book.site.offline $(SITE) _build/qpatch.zip

clean:  ## remove the built book and the tools' caches; results and .venv stay
	rm -rf _build .pytest_cache .ruff_cache *.egg-info
	find qpatch tests benchmarks -name __pycache__ -prune -exec rm -rf {} +

$(SITE)/index.html:
	@echo "There is no $@ yet: run \`make book\` first." >&2; exit 1

# A build of torch that is asked for by name and is not the one that was installed last is installed.
ifneq ($(TORCH_INDEX),)
ifneq ($(TORCH_INDEX),$(shell cat $(TORCH_BUILD) 2>/dev/null))
.PHONY: $(INSTALLED)
endif
endif

# Nothing is compiled ahead: of most packages only a part is ever imported.
$(INSTALLED): requirements.txt requirements-nodeps.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not found); Python 3.11 or later is needed," \
	    "for example: make setup PYTHON=python3.11" >&2; exit 1; }
	@echo "[1 of 4, set-up] some two minutes, most of it a download; the small runs, the notebooks and the pages of" \
	  "make book take some ten more on two processors"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python .ci/install_torch.py "$(TORCH_INDEX)" --no-compile
	$(BIN)/pip install --no-compile --requirement requirements.txt --constraint constraints.txt
	$(BIN)/pip install --no-compile --no-deps --requirement requirements-nodeps.txt --editable .
	@echo "$(TORCH_INDEX)" > $(TORCH_BUILD)
	@touch $@

$(CLUSTER_INSTALLED): workflow/requirements.txt
	$(PYTHON) -m venv .venv-cluster
	$(CLUSTER_BIN)/pip install --no-compile --requirement $<
	@touch $@
