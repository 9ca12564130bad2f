//! What the forge said last of the branches of a repository, so that a worker can tell whether what it has fetched is
//! still all there is. Written when an event is handled, in its transaction; whoever asks is also told whether events
//! wait that nobody has handled yet. Only a reason to fetch or not to: what a branch is, is read from the forge.

use super::connection::Conn;
use super::cursors;
use super::deliveries::{EventPayload, Source};
use super::error::StoreError;
use super::payload::Unpacked;
use super::prepared::prepared;
use crate::domain::stage::CommitId;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::{Deserialize, Serialize};

/// Branches of one repository that are remembered, those that moved last. More than this many moving within the time that
/// a fetch is believed for is not a repository that people and agents share.
const MOST_BRANCHES: usize = 64;
/// Events that wait and are looked into; more of them are as good as one about a branch.
const LOOKED_INTO: usize = 16;
/// The kinds of which the forge tells that nothing has moved (`X-Gitea-Event`); a merge is told of as a push, too, but perhaps later.
const ABOUT_NO_BRANCH: [&str; 7] = [
    "status",
    "workflow_job",
    "workflow_run",
    "issue_comment",
    "pull_request_comment",
    "pull_request_approved",
    "pull_request_rejected",
];
/// A longer name is no branch that a task could have.
const LONGEST_BRANCH: usize = 200;

/// Where a branch is by the forge's last word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// Its short name.
    pub branch: String,
    /// `None` = it was deleted.
    pub head: Option<CommitId>,
}

// The key has the forge's own spelling of the name, and goes on with what the event is about.
prepared! {
    /// The payloads of its events that are queued or being handled.
    EventsWaiting -> Text:
    "SELECT payload FROM jobs WHERE order_key >= 'gitea:' AND order_key < 'gitea;' AND order_key IS NOT NULL \
     AND finished_at IS NULL AND instr(lower(order_key) || ':', " key: str as Text => ") = 1 LIMIT "
        limit: i64 as BigInt => ""
}

/// Remembers the forge's word about a branch of `repo` (`owner/name`).
pub fn note(conn: &mut Conn, repo: &str, heard: &Heard, now: i64) -> Result<(), StoreError> {
    if heard.branch.len() > LONGEST_BRANCH {
        return Ok(());
    }
    let mut all = known(conn, repo)?.unwrap_or_default();
    all.retain(|other| other.branch != heard.branch);
    all.push(heard.clone());
    let surplus = all.len().saturating_sub(MOST_BRANCHES);
    let text = serde_json::to_string(all.get(surplus..).unwrap_or_default());
    let text = text.map_err(|e| StoreError::Corrupt(format!("what was heard of {repo}: {e}")))?;
    cursors::put(conn, &cursor(repo), &text, now)
}

/// What the forge said last of the branches of `repo`; `None` = that is not known, since an event of the repository waits
/// to be handled that may be about a branch.
pub fn of_repo(conn: &mut Conn, repo: &str) -> Result<Option<Vec<Heard>>, StoreError> {
    let key = format!("gitea:{}:", repo.to_ascii_lowercase());
    if news_wait(conn, &key)? { Ok(None) } else { known(conn, repo) }
}

fn news_wait(conn: &mut Conn, key: &str) -> Result<bool, StoreError> {
    let limit = i64::try_from(LOOKED_INTO).unwrap_or(i64::MAX) + 1;
    let waiting: Vec<Unpacked> = EventsWaiting { key, limit: &limit }.load(conn)?;
    Ok(waiting.len() > LOOKED_INTO || waiting.into_iter().any(|payload| may_be_about_a_branch(&String::from(payload))))
}

/// What cannot be read may be about anything, as may what was found by asking.
fn may_be_about_a_branch(payload: &str) -> bool {
    let Ok(EventPayload { source, event, .. }) = serde_json::from_str(payload) else { return true };
    source == Source::Gitea && event.is_none_or(|event| !ABOUT_NO_BRANCH.contains(&event.as_str()))
}

/// What cannot be read is not known.
fn known(conn: &mut Conn, repo: &str) -> Result<Option<Vec<Heard>>, StoreError> {
    Ok(match cursors::get(conn, &cursor(repo))? {
        Some(text) => serde_json::from_str(&text).ok(),
        None => Some(Vec::new()),
    })
}

fn cursor(repo: &str) -> String {
    format!("heard:{}", repo.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::job::{JobEnd, JobKind};
    use crate::store::deliveries::{self, Intake, NewDelivery, Source};
    use crate::store::jobs;
    use crate::store::{Store, StoreOptions};

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_and_migrate(&StoreOptions::new(dir.path().join("orch.db"))).unwrap();
        (dir, store)
    }

    fn heard(branch: &str, n: usize) -> Heard {
        Heard { branch: branch.into(), head: Some(format!("{n:040x}").parse().unwrap()) }
    }

    fn delivered(store: &Store, order_key: &str) -> i64 {
        delivered_as(store, order_key, "{}".into())
    }

    fn delivered_as(store: &Store, order_key: &str, payload: String) -> i64 {
        let new = NewDelivery {
            source: Source::Gitea,
            key: format!("{order_key}{payload}").into(),
            order_key: Some(order_key.into()),
            repo: None,
            payload: payload.into(),
        };
        match store.write_now(|c| deliveries::insert(c, &new, 1)).unwrap() {
            Intake::Queued(id) => id,
            Intake::Duplicate(_) => panic!("it is new"),
        }
    }

    #[test]
    fn the_last_word_about_each_branch_counts_and_the_list_is_bounded() {
        let (_dir, store) = store();
        let conn = &mut *store.connection().unwrap();
        assert_eq!(of_repo(conn, "Acme/Widgets").unwrap(), Some(vec![]));
        note(conn, "Acme/Widgets", &heard("a", 1), 1).unwrap();
        note(conn, "acme/widgets", &heard("b", 2), 2).unwrap();
        let gone = Heard { branch: "a".into(), head: None };
        note(conn, "acme/widgets", &gone, 3).unwrap();
        assert_eq!(of_repo(conn, "Acme/Widgets").unwrap(), Some(vec![heard("b", 2), gone.clone()]));
        assert_eq!(of_repo(conn, "acme/other").unwrap(), Some(vec![]));
        note(conn, "acme/widgets", &heard(&"x".repeat(201), 1), 4).unwrap();
        for n in 1..=MOST_BRANCHES {
            note(conn, "acme/widgets", &heard(&format!("n{n}"), n), 5).unwrap();
        }
        let all = of_repo(conn, "acme/widgets").unwrap().unwrap();
        assert_eq!((all.len(), &all[0]), (MOST_BRANCHES, &heard("n1", 1)));
        cursors::put(conn, "heard:acme/widgets", "rubbish", 6).unwrap();
        assert_eq!(of_repo(conn, "acme/widgets").unwrap(), None);
        note(conn, "acme/widgets", &gone, 7).unwrap();
        assert_eq!(of_repo(conn, "acme/widgets").unwrap(), Some(vec![gone]));
    }

    /// However the forge spells the name, and whether the event waits or is being handled.
    #[test]
    fn while_an_event_of_the_repository_waits_nothing_is_known() {
        let (_dir, store) = store();
        let asked = |store: &Store| of_repo(&mut store.connection().unwrap(), "acme/widgets").unwrap().is_some();
        for other in ["gitea:acme/widgets2", "gitea:acme", "plane:acme/widgets"] {
            delivered(&store, other);
        }
        assert!(asked(&store), "they are of others");
        let claim = || store.write_now(|c| jobs::claim(c, JobKind::Event, "w", 2)).unwrap().unwrap();
        for order in ["gitea:Acme/Widgets", "gitea:Acme/Widgets:feature/ET-001-x"] {
            let id = delivered(&store, order);
            assert!(!asked(&store), "queued");
            let job = std::iter::repeat_with(claim).find(|job| job.id == id).unwrap();
            assert!(!asked(&store), "running");
            store.write_now(|c| jobs::finish(c, &job, &JobEnd::Done { note: None }, 3)).unwrap();
            assert!(asked(&store), "done");
        }
    }

    /// Our own statuses are told to us all the time.
    #[test]
    fn an_event_that_is_about_no_branch_hides_nothing() {
        let of = |source: &str, event: &str| {
            format!(r#"{{"source":"{source}","event":"{event}","body":{{"long":"{}"}}}}"#, "x".repeat(2_000))
        };
        let cases = [
            (of("gitea", "status"), true),
            (of("gitea", "workflow_job"), true),
            (of("gitea", "pull_request_approved"), true),
            (of("gitea", "push"), false),
            (of("gitea", "create"), false),
            (of("gitea", "delete"), false),
            (of("gitea", "pull_request"), false),
            (of("gitea", "something new"), false),
            (of("plane", "issue"), true),
            (r#"{"source":"gitea","body":{}}"#.into(), false),
            (r#"{"observed":{}}"#.into(), false),
        ];
        for (payload, known) in cases {
            let (_dir, store) = store();
            let asked = || of_repo(&mut store.connection().unwrap(), "Acme/Widgets").unwrap().is_some();
            delivered_as(&store, "gitea:acme/widgets", payload.clone());
            assert_eq!(asked(), known, "queued: {payload}");
            store.write_now(|c| jobs::claim(c, JobKind::Event, "w", 2)).unwrap().unwrap();
            assert_eq!(asked(), known, "being handled: {payload}");
        }
        let (_dir, store) = store();
        for n in 0..=LOOKED_INTO {
            assert!(of_repo(&mut store.connection().unwrap(), "acme/widgets").unwrap().is_some(), "{n}");
            let status = of("gitea", "status").replacen("long", &format!("long{n}"), 1);
            delivered_as(&store, "gitea:acme/widgets", status);
        }
        assert!(of_repo(&mut store.connection().unwrap(), "acme/widgets").unwrap().is_none(), "too many to look into");
    }

    /// A million finished jobs must cost nothing.
    #[test]
    fn only_what_is_unfinished_is_looked_at() {
        #[derive(diesel::QueryableByName)]
        struct Step {
            #[diesel(sql_type = Text)]
            detail: String,
        }
        let (_dir, store) = store();
        let rows = diesel::debug_query::<diesel::sqlite::Sqlite, _>(&EventsWaiting { key: "k", limit: &1 }).to_string();
        let rows = rows.split(" -- binds").next().unwrap().replacen('?', "'k'", 1).replace('?', "1");
        {
            let sql = rows;
            let plan = diesel::sql_query(format!("EXPLAIN QUERY PLAN {sql}"));
            let steps: Vec<Step> = plan.load(&mut *store.connection().unwrap()).unwrap();
            let looked: Vec<&str> = steps.iter().map(|s| s.detail.as_str()).filter(|d| d.contains("jobs")).collect();
            assert!(!looked.is_empty() && looked.iter().all(|step| step.contains("INDEX jobs_")), "{looked:?}");
        }
    }
}
