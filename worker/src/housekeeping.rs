//! Forgetting what its retention has run out for, in small steps.

use crate::clock::now_ms;
use crate::context::Context;
use crate::git::{GitError, delete};
use crate::give_up::GIVEN_UP;
use crate::runs::leftovers::before_removal;
use orch_common::store::retention::prune_step;
use orch_common::store::tasks::{self, Task};
use orch_common::store::{StoreError, cursors, outages};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const EVERY: Duration = Duration::from_secs(600);
/// Between two steps others get their turn at the database.
const BREATH: Duration = Duration::from_millis(50);

/// Tidies now and then, until dropped.
pub async fn periodically(ctx: Arc<Context>) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = prune_rows(&ctx).await {
            tracing::warn!(%error, "old rows could not be pruned");
        }
        prune_runs(&ctx).await;
        if let Err(error) = prune_worktrees(&ctx).await {
            tracing::warn!(%error, "old worktrees could not be looked for");
        }
    }
}

/// Finished jobs with their bodies, and the keys of deliveries.
async fn prune_rows(ctx: &Context) -> Result<(), StoreError> {
    let now = now_ms();
    let keep = &ctx.config.retention;
    let jobs_before = now - i64::from(keep.jobs_days) * DAY_MS;
    let keys_before = now - i64::from(keep.delivery_keys_days) * DAY_MS;
    let mut after = 0;
    loop {
        let pruned = ctx.store.write(move |c| prune_step(c, after, jobs_before, keys_before)).await?;
        if pruned.is_empty() {
            ctx.store.write(outages::forget_ended).await?;
            ctx.store.write(move |c| cursors::forget_named(c, GIVEN_UP, keys_before)).await?;
            return Ok(());
        }
        after = pruned.looked_upto.unwrap_or(i64::MAX);
        tokio::time::sleep(BREATH).await;
    }
}

/// Folders of runs that ended long ago.
async fn prune_runs(ctx: &Context) {
    let root = ctx.runs_dir.clone();
    let age = Duration::from_secs(u64::from(ctx.config.retention.logs_days) * 24 * 60 * 60);
    let handed_over = ctx.repos.handed_over("");
    let removed = tokio::task::spawn_blocking(move || {
        remove_old_files(&root.join(crate::runs::LOADED), age);
        remove_old_files(&handed_over, age);
        remove_old_runs(&root, age)
    });
    let removed = removed.await;
    match removed {
        Ok(Ok(0)) => {}
        Ok(Ok(n)) => tracing::info!(n, "old runs' folders removed"),
        Ok(Err(error)) => tracing::warn!(%error, "old runs' folders could not be removed"),
        Err(error) => tracing::warn!(%error, "the search for old runs' folders did not finish"),
    }
}

/// Removes the folders of runs that are over for longer than `age`: those with an exit record, and of lost ones those that are
/// fenced, so that nobody takes them up any more. One that cannot be removed does not keep the others.
fn remove_old_runs(root: &Path, age: Duration) -> std::io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        let since = |name: &str| path.join(name).symlink_metadata().and_then(|about| about.modified());
        let Ok(ended) = since("exit.json").or_else(|_| since("fenced")) else { continue };
        if ended.elapsed().is_ok_and(|gone| gone > age) {
            match delete(&path) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(%error, run = %path.display(), "an old run's folder could not be removed"),
            }
        }
    }
    Ok(removed + remove_old_test_logs(&root.join(crate::gates::TEST_LOGS), age)?)
}

/// Removes the folders of a work item's files to which none was added for so long: they are loaded again where they are needed.
fn remove_old_files(folder: &Path, age: Duration) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let modified = entry.metadata().and_then(|about| about.modified());
        if modified.is_ok_and(|at| at.elapsed().is_ok_and(|gone| gone > age))
            && let Err(error) = delete(&entry.path())
        {
            tracing::warn!(%error, folder = %entry.path().display(), "old files of a work item could not be removed");
        }
    }
}

fn remove_old_test_logs(folder: &Path, age: Duration) -> std::io::Result<usize> {
    let mut removed = 0;
    if !folder.is_dir() {
        return Ok(0);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.metadata()?.modified()?.elapsed().is_ok_and(|gone| gone > age) {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Worktrees of tasks that ended long ago; the branch stays at the forge.
async fn prune_worktrees(ctx: &Context) -> Result<(), StoreError> {
    let before = now_ms() - i64::from(ctx.config.retention.logs_days) * DAY_MS;
    let old = ctx.store.read(move |c| tasks::finished_before(c, before, 50)).await?;
    for task in old {
        let removed = remove_folders(ctx, &task).await;
        match removed {
            Ok(()) => {
                let (id, now) = (task.id, now_ms());
                ctx.store.write(move |c| tasks::mark_tidied(c, id, now)).await?;
            }
            Err(error) => tracing::warn!(%error, key = task.key, "a worktree could not be removed"),
        }
    }
    Ok(())
}

/// What is in them and nowhere else is kept first; a folder that cannot be looked through stays.
async fn remove_folders(ctx: &Context, task: &Task) -> Result<(), GitError> {
    before_removal(ctx, task).await?;
    ctx.repos.remove_worktree(&task.repo, &task.key, &ctx.stopping).await?;
    ctx.repos.remove_workshop(&task.repo, &task.key).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn a_run_s_folder_goes_however_deep_its_agent_dug() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("run");
        std::fs::create_dir(&run).unwrap();
        crate::git::dig(&run, 20_000);
        let ended = std::fs::File::create(run.join("exit.json")).unwrap();
        ended.set_modified(SystemTime::now() - Duration::from_secs(1000)).unwrap();
        let small = std::thread::Builder::new().stack_size(256 << 10);
        let (path, age) = (root.path().to_owned(), Duration::from_secs(500));
        let removed = small.spawn(move || remove_old_runs(&path, age).unwrap()).unwrap().join().unwrap();
        assert_eq!((removed, run.exists()), (1, false));
    }

    #[test]
    fn folders_of_ended_and_of_lost_runs_go_and_those_of_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_secs(1000);
        let run = |name: &str, mark: &str, at: SystemTime| {
            let folder = root.path().join(name);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("log.jsonl"), "{}").unwrap();
            let file = std::fs::File::create(folder.join(mark)).unwrap();
            file.set_modified(at).unwrap();
        };
        run("ended", "exit.json", old);
        run("lost", "fenced", old);
        run("lost-lately", "fenced", SystemTime::now());
        run("at-work", "supervisor.json", old);
        assert_eq!(remove_old_runs(root.path(), Duration::from_secs(500)).unwrap(), 2);
        let mut left: Vec<_> = std::fs::read_dir(root.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["at-work", "lost-lately"]);
        // Of a work item's files by the last that was added.
        let files = root.path().join(crate::runs::LOADED);
        std::fs::create_dir_all(files.join("t1")).unwrap();
        remove_old_files(&files, Duration::from_secs(500));
        assert!(files.join("t1").exists());
        remove_old_files(&files, Duration::ZERO);
        assert!(!files.join("t1").exists());
        remove_old_files(&files, Duration::ZERO);
    }
}
