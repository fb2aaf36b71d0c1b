# The grader with every Debian tool that its checks use.
#
#   docker build -t grader .
#   docker run --rm --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
#       --security-opt systempaths=unconfined \
#       -v "$PWD/submission:/submission:ro" grader score /submission
#
# The options let bubblewrap make its namespaces inside the container, and mount a /proc in them (the last one:
# the kernel lets nobody do that where parts of the container's own are covered). `grader score --static` needs
# none of them. `--network none` works as well once the environments are in a cache that is mounted at /cache.
FROM python:3.11-slim AS builder
WORKDIR /src
RUN python -m venv /opt/grader && /opt/grader/bin/pip install --no-cache-dir --quiet uv
COPY .ci/requirements.txt .ci/requirements.txt
RUN /opt/grader/bin/uv pip install --no-cache --python /opt/grader --compile-bytecode \
        --require-hashes -r .ci/requirements.txt
COPY . .
RUN /opt/grader/bin/uv pip install --no-cache --python /opt/grader --compile-bytecode --no-deps .

FROM python:3.11-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap git make prometheus \
    && rm -rf /var/lib/apt/lists/*
COPY --from=builder /opt/grader /opt/grader
RUN useradd --create-home grader && install -d -o grader /cache /work
ENV PATH=/opt/grader/bin:$PATH GRADER_CACHE_DIR=/cache
USER grader
WORKDIR /work
VOLUME /cache
ENTRYPOINT ["grader"]
CMD ["--help"]
