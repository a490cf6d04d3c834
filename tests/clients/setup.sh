#!/usr/bin/env bash
# Brings what the client tests need to a bare Debian machine. Says nothing and does nothing where it is there already.
set -euo pipefail
cd "$(dirname "$0")"
PATH=$PATH:/usr/sbin

missing=()
for pair in curl:curl chromium:chromium nginx:nginx-light; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
[ -x /usr/lib/postgresql/15/bin/postgres ] || missing+=(postgresql-15)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]})); then
  root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  "${root[@]}" apt-get update -qq
  "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# The stamps hold what was installed, so that a change of a lock file installs again.
if ! cmp -s package-lock.json node_modules/.stamp; then
  npm ci --silent --no-fund --no-audit
  cp package-lock.json node_modules/.stamp
fi
if ! cmp -s requirements.txt .venv/.stamp; then
  rm -rf .venv
  python3 -m venv .venv
  .venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt .venv/.stamp
fi
