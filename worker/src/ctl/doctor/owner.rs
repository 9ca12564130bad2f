//! Root may read the services' secrets, and must not leave files of its own beside the database: SQLite makes some wherever it is opened.

use nix::unistd::{Uid, User, geteuid, initgroups, setgid, setuid};
use std::ffi::CString;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Where root asks, the process becomes the user that owns the database's folder, for good.
///
/// # Errors
/// Says why that was not possible; nothing may be opened then.
pub fn become_owner(database: &Path) -> Result<(), String> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(owner) = folder.metadata().ok().map(|found| Uid::from_raw(found.uid())) else { return Ok(()) };
    if !geteuid().is_root() || owner.is_root() {
        return Ok(());
    }
    let said = |error: nix::Error| {
        format!("{} belongs to user {owner}, whom root could not become: {error}", folder.display())
    };
    let user = User::from_uid(owner).map_err(said)?;
    let user = user.ok_or_else(|| format!("{} belongs to user {owner}, who has no account", folder.display()))?;
    let name = CString::new(user.name).map_err(|error| error.to_string())?;
    initgroups(&name, user.gid).and_then(|()| setgid(user.gid)).and_then(|()| setuid(owner)).map_err(said)
}
