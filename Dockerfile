# The environment of requirements.lock with the code (docs/containers.md). headsplat.def is the same
# for Apptainer.
FROM debian:12-slim
ENV HEADSPLAT_PYTHON=/headsplat/.venv/bin/python \
    PATH=/headsplat/.venv/bin:/usr/local/bin:/usr/bin:/bin \
    PIP_NO_CACHE_DIR=1 \
    HOME=/tmp \
    USER=headsplat
# The release of Debian fixes the versions.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 make python3.11 python3.11-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /headsplat
COPY Makefile pyproject.toml requirements.lock README.md LICENSE NOTICE ./
COPY avatar avatar
COPY pipeline pipeline
COPY config config
COPY profiles profiles
COPY workflow workflow
# Any user may run it, also one without a name: Snakemake keeps its state here, caches are in /tmp.
RUN make setup && mkdir -m 1777 .snakemake
ENTRYPOINT ["snakemake"]
CMD ["--cores", "all"]
