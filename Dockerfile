# Two images: `service` answers with the champion; `worker` runs flows, and is Prefect's and MLflow's server, too.
# docs/containers.md says how they are built and used. Any base of Debian's will do that has Python 3.11
# as python3, with venv and libstdc++.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# What installs, by the hashes of the list; no image below has it. Where packages come from is the affair of who builds:
# the secrets `pip` (a pip.conf), `uv` (a uv.toml) and `certificates` (PEM) are there while it is needed, and left nowhere.
FROM ${BASE} AS tools
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
WORKDIR /fashion
COPY requirements.lock slim.sh ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    python3 -m venv /opt/tools \
    && sed -n '/^\(setuptools\|uv\)==/,/[^\\]$/p' requirements.lock | /opt/tools/bin/python -m pip install --quiet \
        --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --requirement /dev/stdin \
    && python3 -m venv --without-pip /opt/fashion

FROM tools AS service-packages
COPY requirements-serve.lock ./
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/tools/bin/uv pip sync requirements-serve.lock --quiet --python /opt/fashion/bin/python --require-hashes \
        --compile-bytecode --no-cache \
    && sh slim.sh /opt/fashion/lib/python*/site-packages
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/tools/bin/python -m pip wheel . --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --wheel-dir /opt/wheels \
    && /opt/tools/bin/uv pip install /opt/wheels/* --quiet --python /opt/fashion/bin/python --no-deps --no-index \
        --compile-bytecode --no-cache

FROM tools AS worker-packages
RUN --mount=type=secret,id=uv,target=/etc/uv/uv.toml \
    --mount=type=secret,id=certificates,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/tools/bin/uv pip sync requirements.lock --quiet --python /opt/fashion/bin/python --require-hashes \
        --compile-bytecode --no-cache \
    && sh slim.sh /opt/fashion/lib/python*/site-packages

FROM ${BASE} AS worker
RUN apt-get update --quiet --quiet \
    && apt-get install --quiet --quiet --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=worker-packages /opt/fashion /opt/fashion
# A user without a name, as whoever owns a clone may have: what asks for a name and a home folder gets these.
ENV PATH=/opt/fashion/bin:$PATH FASHION_HOME=/fashion HOME=/tmp USER=fashion
WORKDIR /fashion
COPY .env LICENSE README.md defaults.env dvc.yaml params.yaml prefect.yaml pyproject.toml requirements.lock ./
COPY flows flows
COPY src src
RUN chmod -R a+rX . \
    && uv pip install --editable . --quiet --python /opt/fashion/bin/python --no-deps --no-build-isolation --no-index --no-cache \
    && cp requirements.lock /opt/fashion/ \
    && mkdir .state && chown 10001:10001 .state
USER 10001:10001
# A clone that is mounted here brings its own code, which runs. The list of packages has to be that of this image: a
# version is traced to the list in the clone.
ENTRYPOINT ["sh", "-c", "cmp -s requirements.lock /opt/fashion/requirements.lock || { echo 'error: this image has the packages of another requirements.lock than the clone; build it anew' >&2; exit 1; }; exec \"$@\"", "sh"]
CMD ["python", "-m", "flows.services", "up"]
HEALTHCHECK --interval=60s --timeout=30s --start-period=180s CMD ["python", "-m", "flows.services", "check"]

FROM ${BASE} AS service
COPY --from=service-packages /opt/fashion /opt/fashion
ENV PATH=/opt/fashion/bin:$PATH FASHION_HOME=/fashion FASHION_SERVE_PORT=8000 HOME=/tmp USER=fashion
WORKDIR /fashion
COPY .env defaults.env dvc.yaml params.yaml ./
RUN chmod -R a+rX . && mkdir .state && chown 10001:10001 .state
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["fashion"]
CMD ["serve", "--host", "0.0.0.0"]
# /healthz answers only once there is a model. Not /readyz, which tells of registry and log: without them the service goes
# on answering, and nobody should end it for that.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['FASHION_SERVE_PORT'] + '/healthz', timeout=4)"]
