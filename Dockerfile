FROM python:3.13-slim-trixie AS packages

WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock

FROM python:3.13-slim-trixie

RUN useradd --system --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin shuke
WORKDIR /app
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1
COPY --from=packages /venv /venv
COPY LICENSE NOTICE ./
COPY examples examples
COPY contracts contracts
COPY chassis chassis
COPY services services
COPY gateway gateway
COPY deploy deploy
RUN python -m compileall -q contracts chassis services gateway deploy
USER 10001
ENTRYPOINT ["python", "-P", "-m", "deploy.cli"]
CMD ["--help"]
