# Each target makes .venv itself: Python 3.11 or newer and pip are all it takes. PYTHON=python3.12 chooses another.
PYTHON ?= python3
PORT ?= 7860
PY := .venv/bin/python
CPU_WHEELS := https://download.pytorch.org/whl/cpu

.PHONY: app test lint format bench docs gallery boot clean

app: .venv/.app
	$(PY) -m gan_zoo app --port $(PORT)

# Three workers of one thread each, for two cores: a test waits for a page or a process half of its time.
test: .venv/.dev
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyright

format: .venv/.dev
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: .venv/.dev
	$(PY) -m benchmarks.run $(ARGS)

docs: .venv/.app
	$(PY) -m gan_zoo docs --out docs/endpoints.md

# Pictures of the README, from the shipped weights.
gallery: .venv/.app
	$(PY) -m benchmarks.gallery

# Does a running page work? make boot URL=https://owner-gan-zoo.hf.space
boot: .venv/.app
	$(PY) -m gan_zoo boot $(or $(URL),http://127.0.0.1:$(PORT))

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: Python 3.11 or newer is needed, PYTHON=$(PYTHON) is older"; exit 2; }
	$(PYTHON) -m venv .venv

# On Linux without an NVIDIA card the usual wheel of torch would bring gigabytes of CUDA: take the CPU one from torch's
# own index, if that index answers.
.venv/.torch: requirements.txt | $(PY)
	@$(PY) -m pip --version >/dev/null 2>&1 || $(PY) -m ensurepip
	@torch=$$(grep '^torch==' requirements.txt); \
	if $(PY) -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$${torch#torch==}')" 2>/dev/null; then :; \
	elif [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && \
		$(PY) -c "import urllib.request as u; u.urlopen('$(CPU_WHEELS)/torch/', timeout=5)" 2>/dev/null; \
	then $(PY) -m pip install --quiet --index-url $(CPU_WHEELS) "$$torch"; fi
	@touch $@

.venv/.app: .venv/.torch
	$(PY) -m pip install --quiet -r requirements.txt
	@touch $@

.venv/.dev: .venv/.torch pyproject.toml
	$(PY) -m pip install --quiet -r requirements.txt -e '.[dev,eval,onnx]'
	@touch $@ .venv/.app

clean:
	rm -rf .venv .pytest_cache .ruff_cache build *.egg-info
