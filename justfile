# The commands in the docs; `just --list` shows them. https://just.systems

# What every submission must pass; a quarter of an hour on 2 cores.
ci:
    .ci/run

# All tests; seven minutes after the build, with etcd and Chromium, on 2 busy cores.
test:
    cargo test --locked --all-features

# Makes the picture in the README: the dashboard in Chromium.
screenshot:
    cargo test --all-features --test dashboard screenshot -- --ignored

# Checks formatting, lints and documentation like CI.
lint:
    cargo fmt --check
    cargo clippy --locked --all-features --all-targets -- -D warnings
    cargo clippy --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features

# Spelling; needs typos (`pip install typos`, `cargo install typos-cli`).
typos:
    typos

# Rewrites docs/public-api.txt after an intended change of the public API.
api:
    cd tests/api && PROCSTATE_BLESS=1 cargo test

# Licenses, advisories and sources of the dependencies; needs cargo-deny and the network.
deny:
    cargo deny check

# Kills a worker in the middle of its run; another takes over.
takeover:
    cargo run --release --features json --example takeover

# Kills a program that writes, at random moments; 10,000 take 8 minutes.
kills count="10000":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test kill

# Kills a program that registers many items at a time; 300 take 3 minutes.
bulk-kills count="300":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test bulk_kill

# Kills a program with async items; 200 take 2 minutes.
async-kills count="200":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test async_kill

# Kills `procstate run` with its commands running, 200 times; two minutes.
run-kills:
    cargo test --release --all-features --test run -- --ignored

# Cuts the power, on a FUSE file system; 2,000 take 4 minutes.
cuts count="2000":
    PROCSTATE_CUTS={{ count }} cargo test --release --all-features --test power

# Flips every byte of every file of a store; an hour and more.
every-byte:
    PROCSTATE_EVERY_BYTE=1 cargo test --release --all-features --test every_byte

# Kills, stops and cuts off etcd members and programs, for a number of seconds.
cluster seconds="600":
    PROCSTATE_ETCD_CHAOS={{ seconds }} cargo test --all-features --test etcd chaos -- --nocapture

# Measures size and speed of a store in etcd, with three members on this machine.
cluster-figures:
    cargo test --release --all-features --test etcd figures -- --ignored --nocapture

# Random histories of failures and power cuts on the simulated disk.
cases count="3000":
    PROCSTATE_CASES={{ count }} cargo test --release --all-features --lib engine::

# Tests the HTTP API with requests that schemathesis generates from its description.
schemathesis examples="100":
    EXAMPLES={{ examples }} tests/http/schemathesis.sh

# Measures progress updates with 500 listening HTTP clients and 50 hostile ones.
served:
    cargo bench --features http --bench served

# Runs each fuzz target for a number of seconds.
fuzz seconds="600":
    fuzz/run {{ seconds }}

# Compares procstate with SQLite, LMDB, redb, fjall, RocksDB and sled.
peers mode="quick":
    cd benches/peers && cargo run --release -- {{ mode }}

# Compares `procstate run` with GNU parallel, xargs, pueue and task spooler.
runners count="10000":
    cargo build --release --features cli
    benches/runners.sh {{ count }}
