//! Where the packaged services have their secrets from, for an operator who looks as they do.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where systemd finds the credentials that the packaged units name.
const PLAIN: [&str; 3] = ["/etc/credstore", "/run/credstore", "/usr/lib/credstore"];
/// The same of those that are encrypted.
const ENCRYPTED: [&str; 3] = ["/etc/credstore.encrypted", "/run/credstore.encrypted", "/usr/lib/credstore.encrypted"];
/// Of a tool's own words.
const WORDS: usize = 200;

/// The folders that are looked into, and the tool that decrypts.
#[derive(Debug, Clone, Default)]
pub(super) struct Stores {
    pub plain: Vec<PathBuf>,
    pub encrypted: Vec<PathBuf>,
    pub decrypts: PathBuf,
}

impl Stores {
    /// Systemd's.
    pub fn of_systemd() -> Stores {
        let folders = |all: [&str; 3]| all.map(PathBuf::from).to_vec();
        Stores { plain: folders(PLAIN), encrypted: folders(ENCRYPTED), decrypts: "systemd-creds".into() }
    }
}

/// The secret in an encrypted file. The name that it was encrypted under is the credential's, which is part of what is checked.
///
/// # Errors
/// Why not, in one line.
pub(super) fn decrypt(tool: &Path, name: &str, file: &Path) -> Result<String, String> {
    let named = format!("--name={name}");
    let ran = Command::new(tool).args(["decrypt", &named]).arg(file).arg("-").stdin(Stdio::null()).output();
    let done = ran.map_err(|error| format!("{} could not be run: {error}", tool.display()))?;
    if done.status.success() {
        return String::from_utf8(done.stdout).map_err(|_| "it is no text".to_owned());
    }
    let words = String::from_utf8_lossy(&done.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.chars().take(WORDS).collect();
    Err(if words.is_empty() { format!("{} ended with {}", tool.display(), done.status) } else { words })
}
