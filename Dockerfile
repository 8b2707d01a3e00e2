# CPU image: the same two commands inside.   docker build -t eadbench . && docker run --rm -v "$PWD/results:/eadbench/results" eadbench make demo
# PyPI's torch brings CUDA's libraries, some 5 GB. Without them:  docker build --build-arg TORCH_INDEX=<address of PyTorch's CPU wheels> .
FROM python:3.11-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends make git gcc libc6-dev libgl1 libegl1 libgles2 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /eadbench
COPY requirements requirements
COPY pyproject.toml Makefile README.md LICENSE ./
COPY eadbench eadbench
ARG TORCH_INDEX=""
RUN if [ -n "$TORCH_INDEX" ]; then sed -i -E '/^(nvidia-|cuda-|triton==)/d' requirements/lock.txt; fi \
    && PIP_NO_CACHE_DIR=1 PIP_EXTRA_INDEX_URL="$TORCH_INDEX" make install
COPY . .
ENV PATH="/eadbench/.venv/bin:$PATH" OMP_WAIT_POLICY=passive
CMD ["make", "demo"]
