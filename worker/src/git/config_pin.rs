//! The mirror's configuration file is ours to the byte (the rest of what its tasks share: see `shared`). Agents commit through it, so they can write to it,
//! and a configuration can run programs (filters, merge drivers, proxies, includes): it is put back before
//! every call. What people configured there by hand is lost on purpose.

use super::delete::delete;
use super::error::GitError;
use super::remote::Remote;
use crate::untrusted;
use std::io;
use std::path::Path;

/// The kind of object names a repository uses; it cannot change once it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectFormat {
    Sha1,
    Sha256,
}

/// Ours is well below one.
const LARGEST: u64 = 64 << 10;
const REFSPEC: &str = "+refs/heads/*:refs/remotes/origin/*";

/// What the file must hold. `origin` is for the agents' convenience only: our calls name the URL themselves.
fn wanted(format: ObjectFormat, url: Option<&str>) -> String {
    let (version, extension) = match format {
        ObjectFormat::Sha1 => (0, ""),
        ObjectFormat::Sha256 => (1, "[extensions]\n\tobjectformat = sha256\n"),
    };
    let origin = url
        .map(|url| format!("[remote \"origin\"]\n\turl = \"{}\"\n\tfetch = {REFSPEC}\n", quoted(url)))
        .unwrap_or_default();
    format!(
        "[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = true\n\
         \tlogallrefupdates = true\n\thooksPath = /dev/null\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n\
         {extension}{origin}"
    )
}

fn quoted(url: &str) -> String {
    url.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Writes the file of a new repository.
pub(super) fn write(git_dir: &Path, format: ObjectFormat, remote: &Remote) -> Result<(), GitError> {
    replace(git_dir, "config", &wanted(format, Some(remote.url())))
}

/// Puts the file back where it is not exactly ours. The remote's URL is kept if it is a plain one.
pub(super) fn restore(git_dir: &Path) -> Result<(), GitError> {
    let found = match untrusted::read(&git_dir.join("config"), LARGEST) {
        Ok(bytes) => String::from_utf8(bytes.unwrap_or_default()).unwrap_or_default(),
        Err(untrusted::Unfit::Io(e)) => return Err(GitError::io("reading the mirror's configuration", e)),
        Err(unfit) => {
            tracing::warn!(mirror = %git_dir.display(), %unfit, "the mirror's configuration is no file that can be read");
            String::new()
        }
    };
    let format = if found.contains("objectformat = sha256") { ObjectFormat::Sha256 } else { ObjectFormat::Sha1 };
    let url = found.lines().find_map(|l| l.strip_prefix("\turl = \"")?.strip_suffix('"'));
    let url = url.filter(|u| Remote::new(u, None).is_ok());
    let wanted = wanted(format, url);
    if found == wanted {
        return Ok(());
    }
    tracing::warn!(mirror = %git_dir.display(), file = "config", "changed by somebody; put back");
    replace(git_dir, "config", &wanted)
}

/// Writes the configuration of a submodule's repository in a folder of an agent, after that of the mirror that it came
/// from: an agent can write there, and a call of ours follows.
pub(super) fn write_module(git_dir: &Path, mirror: &Path) -> Result<(), GitError> {
    restore(mirror)?;
    let io = |e| GitError::io("writing a submodule's configuration", e);
    match std::fs::remove_file(git_dir.join("commondir")) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(e)),
        Ok(()) | Err(_) => {}
    }
    let text = std::fs::read_to_string(mirror.join("config")).map_err(io)?;
    replace(git_dir, "config", &text.replace("\tbare = true\n", "\tbare = false\n"))
}

/// Puts a file of ours in its place, whatever is there.
pub(super) fn replace(git_dir: &Path, name: &str, text: &str) -> Result<(), GitError> {
    let at = |e| GitError::io(format!("writing {}", git_dir.join(name).display()), e);
    if git_dir.join(name).symlink_metadata().is_ok_and(|m| m.is_dir()) {
        delete(&git_dir.join(name)).map_err(at)?;
    }
    let mut file = tempfile::NamedTempFile::new_in(git_dir).map_err(at)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(at)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(at)?;
    file.persist(git_dir.join(name)).map_err(|e| at(e.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_is_put_back_and_an_honest_one_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        let remote = Remote::new("http://forge.local/a/b.git", None).unwrap();
        for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
            write(dir.path(), format, &remote).unwrap();
            let ours = std::fs::read_to_string(&path).unwrap();
            let before = path.metadata().unwrap().modified().unwrap();
            restore(dir.path()).unwrap();
            assert_eq!(path.metadata().unwrap().modified().unwrap(), before, "not rewritten");
            std::fs::write(&path, format!("{ours}[filter \"x\"]\n\tclean = touch /tmp/x\n")).unwrap();
            restore(dir.path()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), ours);
        }
    }

    #[test]
    fn a_hostile_url_a_symlink_and_a_missing_file_do_not_survive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, "[remote \"origin\"]\n\turl = \"ext::sh -c id\"\n").unwrap();
        restore(dir.path()).unwrap();
        assert!(!std::fs::read_to_string(&path).unwrap().contains("ext::"));
        std::fs::remove_file(&path).unwrap();
        restore(dir.path()).unwrap();
        let elsewhere = dir.path().join("elsewhere");
        std::fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        restore(dir.path()).unwrap();
        assert!(path.symlink_metadata().unwrap().is_file());
    }
}
