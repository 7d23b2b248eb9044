# The listening wing over HTTP: ostinato serve, without PyTorch, as a user without rights.
#
#   docker build -t ostinato .
#   docker run --rm --read-only --tmpfs /tmp:size=3g -p 127.0.0.1:8000:8000 ostinato
#
# compose.yaml runs it with limits of memory, processors and processes, and with a key.
FROM python:3.13-slim AS build

WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /app \
    && /app/bin/pip install --no-cache-dir --disable-pip-version-check -c constraints.txt ".[serve]" \
    && /app/bin/pip uninstall --yes --quiet pip

FROM python:3.13-slim

# Nothing is cached or written but uploads, in /tmp.
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /app /app
USER 65534:65534
WORKDIR /tmp
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["ostinato"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
