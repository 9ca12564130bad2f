//! The rules that no compiler checks: what may be depended on, what lies where, what the documents point at.
//! Everything is read from the checkout; nothing here needs a network.

mod commands;
mod dependencies;
mod licence;
mod make;
mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a workspace").to_owned()
}

/// Every tracked file that is there, relative to [`root`].
pub fn tracked() -> Vec<String> {
    let out = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output().expect("git runs");
    assert!(out.status.success(), "not a git checkout: {}", String::from_utf8_lossy(&out.stderr));
    let names = String::from_utf8(out.stdout).expect("file names are UTF-8");
    let files: Vec<String> =
        names.split_terminator('\0').map(str::to_owned).filter(|f| root().join(f).exists()).collect();
    assert!(files.len() > 20, "only {} tracked files", files.len());
    files
}

/// A tracked file's text; `None` where it is not text.
pub fn text(file: &str) -> Option<String> {
    std::fs::read(root().join(file)).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}

fn toml_of(file: &str) -> toml::Table {
    text(file).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{file} is not TOML"))
}
