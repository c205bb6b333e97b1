#!/usr/bin/env bash
# Tests the HTTP API with schemathesis (PyPI), which generates requests from the OpenAPI document.
# Installs schemathesis into its own folder if it is missing.
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
# Test data.
for name in a b c; do
    curl -sf -o /dev/null -X PUT -H "Content-Type: application/json" "$url/v1/processes/p/work/$name" \
        -d '{"params": {"intParams": {"n": "1"}}}'
done
# Unregistered work is still known: it awaits cleanup.
schemathesis --config-file tests/http/schemathesis.toml run "$url/v1/openapi.json" --url "$url" \
    --max-examples "${EXAMPLES:-30}" --seed "${SEED:-1}" --checks all --exclude-checks ignored_auth,use_after_free \
    --no-color "$@"
