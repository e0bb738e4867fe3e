# The TFDV step: installs the compiled list of components/validation/ without dependency resolution.
#   make images
FROM python:3.11.14-slim-bookworm AS packages
ARG UV_DEFAULT_INDEX
# crcmod and pyfarmhash exist only as sources.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY constraints.txt components/validation/requirements.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -c constraints.txt uv \
    && uv venv --python /usr/local/bin/python3.11 /opt/venv \
    && uv pip install --no-cache --compile-bytecode --python /opt/venv/bin/python --no-deps -r requirements.txt
# libclang comes with TensorFlow, aiplatform with Beam; no process of this image imports them, nor tests and headers.
RUN uv pip uninstall --python /opt/venv/bin/python libclang google-cloud-aiplatform \
    && find /opt/venv/lib -type d \( -name tests -o -name include \) -prune -exec rm -rf {} +

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="kuberec data validation" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/kuberec
COPY LICENSE ./
COPY feature_repo feature_repo
COPY inference inference
COPY components components
RUN /opt/venv/bin/python -m compileall -q .
ENV PATH=/opt/venv/bin:$PATH PYTHONPATH=/opt/kuberec PYTHONUNBUFFERED=1 HOME=/tmp
USER 10001:10001
WORKDIR /tmp
CMD ["python", "-m", "components.validation.tfdv.statistics", "--help"]
