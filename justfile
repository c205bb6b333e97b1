# Every long command that the docs mention; `just --list` shows them. https://just.systems

# Runs the checks that every submission must pass; a quarter of an hour on 2 cores.
ci:
    .ci/run

# Runs all tests; a little over five minutes after the build, with etcd and Chromium, on 2 cores.
test:
    cargo test --locked --all-features

# Takes the README's screenshot of the dashboard, with Chromium.
screenshot:
    cargo test --all-features --test dashboard screenshot -- --ignored

# Checks formatting, lints and documentation, as CI does.
lint:
    cargo fmt --check
    cargo clippy --locked --all-features --all-targets -- -D warnings
    cargo clippy --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features

# Checks the spelling; needs typos (`pip install typos`, `cargo install typos-cli`).
typos:
    typos

# Regenerates docs/public-api.txt after an intended change of the public API.
api:
    cd tests/api && PROCSTATE_BLESS=1 cargo test

# Regenerates proto/generated after a change of the schema.
proto:
    PROCSTATE_BLESS=1 cargo test --all-features --test schema

# Checks licenses, advisories and sources of the dependencies; needs cargo-deny and the network.
deny:
    cargo deny check

# Kills a worker in the middle of its run; another takes over.
takeover:
    cargo run --release --features json --example takeover

# Kills a writing program at random moments; 10,000 kills take 8 minutes.
kills count="10000":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test kill

# Kills a program that opens its store, writes a little and closes it; 1000 kills take 3 minutes.
close-kills count="1000":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test close_kill

# Kills a program that registers many items at a time; 300 kills take 3 minutes.
bulk-kills count="300":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test bulk_kill

# Kills a program whose workers are futures; 200 kills take 2 minutes.
async-kills count="200":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test async_kill

# Kills `procstate run` 200 times while its commands run; 2 minutes.
run-kills:
    cargo test --release --all-features --test run -- --ignored

# Cuts the power under a FUSE file system; 2,000 cuts take 4 minutes.
cuts count="2000":
    PROCSTATE_CUTS={{ count }} cargo test --release --all-features --test power

# Flips every byte of every file of a store; more than an hour.
every-byte:
    PROCSTATE_EVERY_BYTE=1 cargo test --release --all-features --test every_byte

# Kills, stops and partitions etcd members and their clients for the given time.
cluster seconds="600":
    PROCSTATE_ETCD_CHAOS={{ seconds }} cargo test --all-features --test etcd chaos -- --nocapture

# Measures the size and speed of a store in etcd, with three members on this machine.
cluster-figures:
    cargo test --release --all-features --test etcd figures -- --ignored --nocapture

# Runs random histories of failures and power cuts on the simulated disk.
cases count="3000":
    PROCSTATE_CASES={{ count }} cargo test --release --all-features --lib engine::

# Tests the HTTP API with schemathesis, which generates requests from the OpenAPI document.
schemathesis examples="100":
    EXAMPLES={{ examples }} tests/http/schemathesis.sh

# Measures progress updates while 500 HTTP clients listen and 50 misbehave.
served:
    cargo bench --features http --bench served

# Runs each fuzz target for the given time.
fuzz seconds="600":
    fuzz/run {{ seconds }}

# Compares procstate with SQLite, LMDB, redb, fjall, RocksDB and sled.
peers mode="quick":
    cd benches/peers && cargo run --release -- {{ mode }}

# Compares `procstate run` with GNU parallel, xargs, pueue and task spooler.
runners count="10000":
    cargo build --release --features cli
    benches/runners.sh {{ count }}
