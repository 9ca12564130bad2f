# What people and the CI run. Every target works from a clean clone.
.PHONY: help demo run test test-long lint bench soak

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## The whole product on this machine, with a scripted agent
	cargo build --workspace --bins
	target/debug/orchctl demo

run: ## Both processes with your configuration
	cargo build --workspace --bins
	target/debug/orchctl up

test: ## Every test of the workspace
	cargo test --workspace

test-long: ## The whole crash matrix, random rounds and other tests of minutes
	cargo test --workspace -- --ignored

bench: ## The figures of docs/PERFORMANCE.md on this machine (FIGURES="intake claims" for some)
	cargo build --release -p orch-api -p orch-worker -p orch-tests --bins
	target/release/orch-bench $(FIGURES) --json target/bench/figures.json

soak: ## Half an hour of webhooks and agents; nothing may grow (MINUTES=2 for a look)
	cargo build --release -p orch-api -p orch-worker -p orch-tests --bins
	target/release/orch-bench soak --soak-minutes $(or $(MINUTES),30) --json target/bench/soak.json

lint: ## Formatting and clippy; warnings are errors
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
