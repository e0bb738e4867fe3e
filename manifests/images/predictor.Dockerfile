# The predictor: serves the rankers of bundles over gRPC.
#   make images
FROM python:3.11.14-slim-bookworm AS packages
ARG UV_DEFAULT_INDEX
WORKDIR /build
COPY pyproject.toml constraints.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -c constraints.txt uv \
    && uv venv --python /usr/local/bin/python3.11 /opt/venv \
    && uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python -c constraints.txt \
       -r pyproject.toml --extra predictor \
    && uv pip check --python /opt/venv/bin/python
# pillow comes with KServe; no process of this image imports them, nor tests and headers.
RUN uv pip uninstall --python /opt/venv/bin/python pillow \
    && find /opt/venv/lib -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="kuberec predictor" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
# OpenMP for LightGBM, from the base image's distribution.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/kuberec
COPY LICENSE ./
COPY feature_repo feature_repo
COPY inference inference
RUN /opt/venv/bin/python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/kuberec PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080 8081
ENTRYPOINT ["python", "-m", "inference.predictor"]
