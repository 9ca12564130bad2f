//! The pictures and files of a work item, as files that the task's agents can read. One that is had is kept for the task and
//! copied for each of its runs. What cannot be had is named with its address and the reason, and never stops a start; while Plane takes
//! no calls at all, the start waits as it does for the rest of the story. Whatever people name them, the names on the disk are ours.

use super::refused::Refused;
use super::reread::{PATIENCE_MS, waited_ms};
use crate::agent::run_dir::{RunDir, RunDirError};
use crate::clients::ApiError;
use crate::clients::plane::{Fetched, NotLoaded, PlaneClient};
use crate::context::Context;
use futures_util::stream::{self, StreamExt as _};
use orch_common::domain::names::slug;
use orch_common::store::jobs::Job;
use orch_common::store::tasks::Task;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Below the folder of all runs: what was loaded for a task.
pub(crate) const LOADED: &str = ".files";
/// Files that are loaded for a task.
const MOST_LOADED: usize = 20;
/// One file's bytes; Plane itself takes 5 MB unless it is told otherwise.
const LARGEST: u64 = 10_000_000;
/// All of a task's.
const TOGETHER: u64 = 40_000_000;
/// Asked for side by side.
const AT_A_TIME: usize = 4;
/// For all of them.
const TIME: Duration = Duration::from_secs(60);
/// Of a file's name.
const NAME_CHARS: usize = 60;
/// Of a name that people gave, where it is shown.
const SHOWN_CHARS: usize = 100;
/// What was attached, for the agents that come later.
const ATTACHED: &str = "attached.json";

/// A picture or a file, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    /// What people call it; may be empty.
    pub name: String,
    /// Where a person finds it.
    pub address: String,
    /// It is one that Plane keeps.
    pub file: Option<Uuid>,
}

/// What an agent gets of them.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// Loaded ones, each with its name in the run's folder.
    kept: Vec<(PathBuf, String)>,
    /// One for each that people put there.
    pub lines: Vec<String>,
}

/// What is attached, as the last start that asked has found; `None` = none has, or it is forgotten.
pub(super) fn known_attached(ctx: &Context, task: &Task) -> Option<Vec<Shown>> {
    let text = crate::untrusted::read(&folder(ctx, task).join(ATTACHED), 1 << 20).ok().flatten()?;
    serde_json::from_slice(&text).ok()
}

/// Remembers it for later starts.
pub(super) fn note_attached(ctx: &Context, task: &Task, found: &[Shown]) {
    let written = serde_json::to_vec(found).map_err(io::Error::other);
    if let Err(error) = written.and_then(|text| keep(&folder(ctx, task), ATTACHED, &text)) {
        tracing::warn!(%error, "what is attached could not be kept for later agents");
    }
}

/// Loads what is not here yet, and says of each where it is.
pub(super) async fn load(
    ctx: &Context,
    plane: &PlaneClient,
    job: &Job,
    task: &Task,
    (run, shown): (&str, &[Shown]),
) -> Result<Files, Refused> {
    let folder = folder(ctx, task);
    let mut wanted: Vec<(Uuid, &Shown)> = Vec::new();
    for one in shown {
        if let Some(id) = one.file.filter(|id| wanted.iter().all(|(known, _)| known != id)) {
            wanted.push((id, one));
        }
    }
    wanted.truncate(MOST_LOADED);
    let loading = Loading::of(&folder);
    let missing = wanted.iter().filter(|(id, _)| !loading.has(*id));
    let all = stream::iter(missing).for_each_concurrent(AT_A_TIME, |(id, one)| loading.load(plane, task, *id, one));
    let in_time = tokio::time::timeout(TIME, all).await.is_ok();
    let away = loading.known().away.take();
    if let Some(error) = away
        && waited_ms(ctx, job).await? < PATIENCE_MS
    {
        return Err(Refused::Unread { error });
    }
    let place = place(ctx, run);
    let known = loading.known();
    let here = wanted.iter().enumerate().filter_map(|(n, (id, one))| {
        let path = known.here.get(id)?;
        Some((*id, (path.clone(), on_disk(n + 1, &one.name, path))))
    });
    let here: HashMap<Uuid, (PathBuf, String)> = here.collect();
    let mut lines = Vec::new();
    for one in shown {
        let line = match one.file.and_then(|id| here.get(&id)) {
            Some((_, name)) => format!("{}: {}", label(&one.name), place.join(name).display()),
            None => {
                let why = match one.file {
                    None => "an address outside Plane is not asked",
                    Some(id) => match known.why.get(&id) {
                        Some(why) => why,
                        None if !wanted.iter().any(|(known, _)| *known == id) => "there are too many files",
                        None if !in_time => "it took too long",
                        None => "Plane took no calls",
                    },
                };
                format!("{}: not here ({why}); {}", label(&one.name), one.address)
            }
        };
        lines.push(line);
    }
    Ok(Files { kept: here.into_values().collect(), lines })
}

/// Copies them into the run's folder, or to where a user of the agents' own can read them.
pub(super) fn place_them(ctx: &Context, run: &str, dir: &Path, files: &Files) -> Result<(), RunDirError> {
    if files.kept.is_empty() {
        return Ok(());
    }
    let place = place(ctx, run);
    let copied = match &ctx.tenant {
        Some(tenant) => ctx.repos.give_files(tenant, run, &files.kept),
        None => {
            RunDir::create(dir)?;
            copy(&files.kept, &place)
        }
    };
    copied.map_err(|source| RunDirError::Io { path: place, source })
}

fn copy(files: &[(PathBuf, String)], place: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(place)?;
    files.iter().try_for_each(|(from, name)| fs::copy(from, place.join(name)).map(drop))
}

/// Where an agent of this run finds them.
fn place(ctx: &Context, run: &str) -> PathBuf {
    match ctx.tenant {
        Some(_) => ctx.repos.handed_over(run),
        None => ctx.runs_dir.join(run).join("files"),
    }
}

fn folder(ctx: &Context, task: &Task) -> PathBuf {
    ctx.runs_dir.join(LOADED).join(format!("t{}", task.id))
}

/// What is loaded for one task.
struct Loading {
    folder: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    here: HashMap<Uuid, PathBuf>,
    bytes: u64,
    why: HashMap<Uuid, String>,
    /// Plane takes no calls: nothing more is asked.
    away: Option<ApiError>,
}

impl Loading {
    /// With what is there.
    fn of(folder: &Path) -> Loading {
        let mut known = Known::default();
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let path = entry.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| Uuid::parse_str(stem).ok());
            // An empty one may be what a power cut has left of it.
            if let (Some(id), Some(about)) = (id, entry.metadata().ok().filter(|about| about.len() > 0)) {
                known.bytes += about.len();
                known.here.insert(id, path);
            }
        }
        Loading { folder: folder.to_owned(), known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, id: Uuid) -> bool {
        self.known().here.contains_key(&id)
    }

    async fn load(&self, plane: &PlaneClient, task: &Task, id: Uuid, one: &Shown) {
        let left = {
            let known = self.known();
            if known.away.is_some() {
                return;
            }
            TOGETHER.saturating_sub(known.bytes)
        };
        if left == 0 {
            self.refuse(id, "together they are too large".into());
            return;
        }
        match plane.file(&task.project, &task.work_item, &id.to_string(), LARGEST).await {
            Ok(file) => match self.take(id, &one.name, &file) {
                Ok(()) => {}
                Err(why) => self.refuse(id, why),
            },
            Err(NotLoaded::File(why)) => self.refuse(id, why),
            Err(NotLoaded::Plane(error)) => self.known().away = Some(error),
        }
    }

    fn refuse(&self, id: Uuid, why: String) {
        tracing::info!(file = %id, why, "a file of the work item is named and not loaded");
        self.known().why.insert(id, why);
    }

    fn take(&self, id: Uuid, name: &str, file: &Fetched) -> Result<(), String> {
        let ending = ending(name, &file.kind)?;
        let size = file.bytes.len() as u64;
        if self.known().bytes + size > TOGETHER {
            return Err("together they are too large".into());
        }
        let file_name = format!("{id}.{ending}");
        keep(&self.folder, &file_name, &file.bytes).map_err(|e| format!("it could not be kept: {e}"))?;
        let mut known = self.known();
        known.bytes += size;
        known.here.insert(id, self.folder.join(file_name));
        Ok(())
    }
}

/// Whole, or not at all.
fn keep(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let half = folder.join(format!(".{name}"));
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(bytes)?;
    fs::rename(half, folder.join(name))
}

/// Pictures and documents, each with how the name of such a file ends.
const KINDS: [(&str, &str); 29] = [
    ("image/png", "png"),
    ("image/jpeg", "jpg"),
    ("image/jpeg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
    ("image/svg+xml", "svg"),
    ("text/plain", "txt"),
    ("text/markdown", "md"),
    ("text/csv", "csv"),
    ("text/plain", "log"),
    ("text/plain", "diff"),
    ("text/plain", "patch"),
    ("text/html", "html"),
    ("text/html", "htm"),
    ("text/xml", "xml"),
    ("text/css", "css"),
    ("text/yaml", "yaml"),
    ("text/yaml", "yml"),
    ("application/pdf", "pdf"),
    ("application/json", "json"),
    ("application/xml", "xml"),
    ("application/yaml", "yaml"),
    ("application/rtf", "rtf"),
    ("application/sql", "sql"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
];

/// How the file's name ends on the disk. Where the storage says nothing of its kind, its name does.
fn ending(name: &str, kind: &str) -> Result<&'static str, String> {
    let by_name = Path::new(name).extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase);
    let by_name = KINDS.iter().find(|(_, ending)| by_name.as_deref() == Some(*ending));
    let is_told = !matches!(kind, "" | "application/octet-stream" | "binary/octet-stream");
    let by_kind = KINDS.iter().find(|(known, _)| *known == kind);
    match (by_kind, by_name) {
        // A page where a picture should be is a proxy's.
        (Some(("text/html", _)), Some((other, _))) if *other != "text/html" => {
            Err("a page was sent in its place".into())
        }
        (Some(("text/html", _)), None) => Err("a page was sent in its place".into()),
        (Some((_, ending)), None) => Ok(ending),
        (Some((told, _)), Some((_, ending))) if told.starts_with("text/") || KINDS.contains(&(told, ending)) => {
            Ok(ending)
        }
        (Some((_, ending)), Some(_)) => Ok(ending),
        (None, Some((_, ending))) if !is_told || kind.starts_with("text/") => Ok(ending),
        (None, _) if kind.starts_with("text/") => Ok("txt"),
        (None, _) => Err(format!("files of its kind are not loaded: '{}'", kind.chars().take(80).collect::<String>())),
    }
}

/// The name in the run's folder: a number, what is left of the name, and how such files end.
fn on_disk(number: usize, name: &str, loaded: &Path) -> String {
    let ending = loaded.extension().and_then(|end| end.to_str()).unwrap_or("bin");
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let stem = if stem.trim().is_empty() { "picture" } else { stem };
    format!("{number:02}-{}.{ending}", slug(stem, NAME_CHARS))
}

/// What people call it, in one line.
fn label(name: &str) -> String {
    let one_line = name.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: String = one_line.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
    if shown.is_empty() { "a picture".into() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_disk_are_ours_whatever_people_call_a_file() {
        let table = [
            ("plan.png", "01-plan.png"),
            ("../../etc/passwd", "01-passwd.png"),
            ("..", "01-picture.png"),
            ("", "01-picture.png"),
            ("a\u{0}b\n:approved:.png", "01-a-b-approved.png"),
            ("-rf .png", "01-rf.png"),
            ("\u{202e}gnp.exe", "01-gnp.png"),
            ("Схема сети.PNG", "01-skhema-seti.png"),
            ("$(touch x)`y`.png", "01-touch-x-y.png"),
        ];
        for (name, expected) in table {
            assert_eq!(on_disk(1, name, Path::new("/x/0f.png")), expected, "{name:?}");
        }
        assert!(on_disk(20, &"x".repeat(5000), Path::new("0f.png")).len() <= 70);
    }

    #[test]
    fn only_pictures_and_documents_are_loaded_under_the_ending_of_their_kind() {
        let table = [
            ("plan.png", "image/png", Some("png")),
            ("plan.jpeg", "image/jpeg", Some("jpeg")),
            ("", "image/webp", Some("webp")),
            // What it is says the storage, and not its name.
            ("plan.pdf", "image/png", Some("png")),
            ("notes.exe", "text/plain", Some("txt")),
            ("notes.md", "text/plain", Some("md")),
            ("main.rs", "text/x-rust", Some("txt")),
            ("plan.png", "", Some("png")),
            ("plan.png", "application/octet-stream", Some("png")),
            ("plan", "", None),
            ("setup.exe", "application/octet-stream", None),
            ("setup.exe", "application/x-msdownload", None),
            ("all.zip", "application/zip", None),
            ("plan.png", "application/x-msdownload", None),
            ("plan.png", "text/html", None),
            ("", "text/html", None),
            ("page.html", "text/html", Some("html")),
        ];
        for (name, kind, expected) in table {
            assert_eq!(ending(name, kind).ok(), expected, "{name} {kind}");
        }
    }

    #[test]
    fn a_name_is_shown_in_one_line() {
        assert_eq!(label(" a\n b\u{7}"), "a b");
        assert_eq!(label(" \n"), "a picture");
        assert_eq!(label(&"ы".repeat(300)).chars().count(), SHOWN_CHARS);
    }
}
