# One image for all processes: `docker run storelog command-service`, `relay`, `projector`, ...
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/storelog \
 && /opt/storelog/bin/pip install --no-cache-dir --constraint constraints.txt . \
 && /opt/storelog/bin/pip uninstall --yes pip

FROM python:3.13-slim
COPY --from=build /opt/storelog /opt/storelog
ENV PATH=/opt/storelog/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STORELOG_LOG_FORMAT=json \
    HEALTH_URL=http://127.0.0.1:8080/health/live
# A storelog.toml mounted here is read. Nothing is ever written: the root may be read-only.
WORKDIR /etc/storelog
USER 10001:10001
EXPOSE 8080 8081 8090 8091
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as u; u.urlopen(os.environ['HEALTH_URL'], timeout=2)"]
ENTRYPOINT ["storelog"]
CMD ["--help"]
