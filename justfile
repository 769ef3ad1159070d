# The front door. Each recipe is short enough to be typed without just: `just --list` shows them, and none hides a flag.

# Show what there is to do.
default:
    @just --list

# Build the command `hook` for use: target/release/hook.
build:
    cargo build --release -p hook-cli

# The main job, from end to end, in one process: signed webhooks in, a durable log, deliveries out.
demo:
    cargo run --release -p hook-cli -- demo

# Run any command, such as `just run up --contract apps/github-to-file/contract.toml`.
run *arguments:
    cargo run --release -p hook-cli -- {{arguments}}

# Every test. Needs no network and no service.
test:
    cargo test --workspace

# Every test, also those that need a Kafka broker or real clients.
test-all: test test-kafka test-clients

# Every test that needs a Kafka broker, on one that is started for it and ends with it. Needs Java 17 and, the first time, Maven.
test-kafka:
    #!/usr/bin/env bash
    set -euo pipefail
    trap 'scripts/services down kafka --name tests' EXIT
    scripts/services up kafka --name tests
    mapfile -t reached < <(scripts/services env kafka --name tests)
    env "${reached[@]}" cargo test --workspace --test 'kafka_*' --test 'adapters*' -- --ignored
    env "${reached[@]}" cargo test -p hook-cli --test pipeline-kafka -- --test-threads 4

# The adapters, over TLS and SASL, with the system's OpenSSL: its headers are needed.
test-kafka-tls:
    #!/usr/bin/env bash
    set -euo pipefail
    trap 'scripts/services down kafka --name tests-tls' EXIT
    scripts/services up kafka --name tests-tls --mtls --sasl all
    for listener in ssl mtls sasl_ssl; do
        mapfile -t reached < <(scripts/services env kafka --name tests-tls --listener "$listener")
        env "${reached[@]}" cargo test -p hook-kafka --features tls --test 'adapters*' -- --ignored
    done

# Every test that needs clients which others have written: WebSocket in Python and in a browser, MCP by its official SDKs. Needs
# Node.js 20 and Python 3.10, the first time npm, PyPI and a Chromium (or Debian's apt-get) too.
test-clients:
    #!/usr/bin/env bash
    set -euo pipefail
    scripts/clients install
    mapfile -t reached < <(scripts/clients env)
    env "${reached[@]}" cargo test -p hook-cli --test clients

# Our vectors, and what `hook send` makes, before the providers' own verifiers. Needs Node.js 20, Go 1.24 and their registries.
check-providers:
    cargo build -p hook-cli
    scripts/provider-sdks check target/debug/hook

# CEL, jq and JSON Schema against the suites of others and jq itself. Needs Go and Python 3.10, the Go module proxy and PyPI.
suites *arguments:
    scripts/suites install
    scripts/suites run {{arguments}}

# What CI does, in the same order. Run it before a change is proposed.
check:
    .ci/run

# What CI does in short, in full: the real binary killed, starved, its disk filled, its clock stepped; three brokers killed, the
# network to them broken. An hour. Needs Java 17 and, the first time, Maven.
prove:
    cargo build --release -p hook-cli
    cargo run --release -p xtask -- faults --hook target/release/hook
    cargo run --release -p xtask -- faults kafka --hook target/release/hook
    cargo test --release -p hook-log --test simulation -- --ignored --nocapture

# The rules that no compiler knows: crate levels, forbidden words, codes, links, changelog fragments.
tidy:
    cargo run -p xtask -- tidy

# Write again what is generated from the code: schemas/, docs/errors/, docs/reference/.
generate:
    cargo run -p xtask -- generate

# Format every file.
format:
    cargo fmt --all

# The documentation of the crates, in a browser.
doc:
    cargo doc --workspace --no-deps --open

# Licences, advisories and sources of the dependencies. Needs `cargo install cargo-deny`.
deny:
    cargo deny check

# Install `hook` for this user, from this checkout.
install:
    cargo install --locked --path crates/hook-cli
