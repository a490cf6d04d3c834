#!/usr/bin/env bash
# Brings the OpenID provider. Says nothing and does nothing where it is there already.
set -euo pipefail
cd "$(dirname "$0")"

# The stamp holds what was installed, so that a change of the lock file installs again.
if ! cmp -s package-lock.json node_modules/.stamp; then
  npm ci --silent --no-fund --no-audit
  cp package-lock.json node_modules/.stamp
fi
