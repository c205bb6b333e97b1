#!/usr/bin/env bash
# The API by a client that makes its requests up from the description: schemathesis (PyPI).
# Installs it into a folder of its own if it is not there.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v schemathesis >/dev/null; then
    venv=${SCHEMATHESIS_VENV:-target/schemathesis}
    [ -x "$venv/bin/schemathesis" ] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q schemathesis==4.32.5; }
    PATH="$PWD/$venv/bin:$PATH"
fi
cargo build --locked --all-features --example http
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
coproc server { target/debug/examples/http "$state/store" 127.0.0.1:0; }
read -r url <&"${server[0]}"
# Something to find.
for name in a b c; do
    curl -sf -o /dev/null -X PUT -H "Content-Type: application/json" "$url/v1/processes/p/work/$name" \
        -d '{"params": {"intParams": {"n": "1"}}}'
done
# Work that is unregistered is still known: it is to be cleaned up.
schemathesis --config-file tests/http/schemathesis.toml run "$url/v1/openapi.json" --url "$url" \
    --max-examples "${EXAMPLES:-30}" --seed "${SEED:-1}" --checks all --exclude-checks ignored_auth,use_after_free \
    --no-color "$@"
