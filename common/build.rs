//! What the programs are built from: the migrations (`embed_migrations!` does not notice new files by itself) and, where
//! the packager names it, the commit. No date: the same sources give the same programs.
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
    println!("cargo:rerun-if-env-changed=ORCH_BUILD_COMMIT");
    let version = env!("CARGO_PKG_VERSION");
    let commit = std::env::var("ORCH_BUILD_COMMIT").unwrap_or_default();
    let known = !commit.is_empty() && commit.chars().all(|c| c.is_ascii_alphanumeric());
    let shown = if known { format!("{version} ({commit})") } else { version.to_owned() };
    println!("cargo:rustc-env=ORCH_BUILD_VERSION={shown}");
}
