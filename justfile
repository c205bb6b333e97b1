# Every command that the docs name; `just --list` shows them. https://just.systems

# What every submission must pass; a quarter of an hour on 2 cores.
ci:
    .ci/run

# All tests; seven minutes after the build, with etcd and Chromium, on 2 busy cores.
test:
    cargo test --locked --all-features

# The picture in the README, of the dashboard in Chromium.
screenshot:
    cargo test --all-features --test dashboard screenshot -- --ignored

# Formatting, lints and documentation, as CI has them.
lint:
    cargo fmt --check
    cargo clippy --locked --all-features --all-targets -- -D warnings
    cargo clippy --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features

# Spelling; needs typos (`pip install typos`, `cargo install typos-cli`).
typos:
    typos

# Writes docs/public-api.txt anew, after a change of the public API that is meant.
api:
    cd tests/api && PROCSTATE_BLESS=1 cargo test

# Licenses, advisories and sources of the dependencies; needs cargo-deny and the network.
deny:
    cargo deny check

# A worker is killed in the middle of its run, and another takes over.
takeover:
    cargo run --release --features json --example takeover

# Kills a program that writes, at random moments; 10,000 take 8 minutes.
kills count="10000":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test kill

# Kills a program that registers many items at a time; 300 take 3 minutes.
bulk-kills count="300":
    PROCSTATE_KILLS={{ count }} cargo test --release --all-features --test bulk_kill

# Kills a program whose items are futures; 200 take 2 minutes.
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

# Kills, stops and cuts off members of etcd and programs on it, for so many seconds.
cluster seconds="600":
    PROCSTATE_ETCD_CHAOS={{ seconds }} cargo test --all-features --test etcd chaos -- --nocapture

# How large a store is in etcd, and how fast; three members on this machine.
cluster-figures:
    cargo test --release --all-features --test etcd figures -- --ignored --nocapture

# Random histories of failures and power cuts on the simulated disk.
cases count="3000":
    PROCSTATE_CASES={{ count }} cargo test --release --all-features --lib engine::

# The API over HTTP by schemathesis, which makes requests up from its description.
schemathesis examples="100":
    EXAMPLES={{ examples }} tests/http/schemathesis.sh

# Progress updates with 500 clients that listen over HTTP and 50 that mean no good.
served:
    cargo bench --features http --bench served

# The fuzz targets, each for so many seconds.
fuzz seconds="600":
    fuzz/run {{ seconds }}

# procstate beside SQLite, LMDB, redb, fjall, RocksDB and sled.
peers mode="quick":
    cd benches/peers && cargo run --release -- {{ mode }}

# `procstate run` beside GNU parallel, xargs, pueue and task spooler.
runners count="10000":
    cargo build --release --features cli
    benches/runners.sh {{ count }}
