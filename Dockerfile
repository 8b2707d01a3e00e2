# CPU image: the same two commands inside (`make demo`, `make test`).   docker build -t eadbench . && docker run --rm -v "$PWD/results:/eadbench/results" eadbench make demo
FROM python:3.11-slim-bookworm
RUN apt-get update && apt-get install -y --no-install-recommends make git gcc libc6-dev libgl1 libegl1 libgles2 && rm -rf /var/lib/apt/lists/*
WORKDIR /eadbench
COPY requirements requirements
COPY pyproject.toml Makefile README.md LICENSE ./
COPY eadbench eadbench
RUN make install && rm -rf /root/.cache
COPY . .
ENV PATH="/eadbench/.venv/bin:$PATH" OMP_WAIT_POLICY=passive
CMD ["make", "demo"]
