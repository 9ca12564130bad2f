//! Webhooks that stopped coming: Plane switches a webhook off after some failures and tells no program, a forge forgets
//! what it could not deliver. Asking goes on, but slowly; a person must look.

use super::findings::Finding;
use crate::alerts;
use crate::context::Context;
use crate::events::{GiteaChange, GiteaEvent, Observed, PlaneChange, tells_of_statuses};
use orch_common::domain::messages::{Message, Moment};
use orch_common::store::deliveries::{self, Source};
use orch_common::store::{Conn, StoreError, cursors};

/// A source that sent nothing for this long while something happened there is silent, in ms.
const SILENT_MS: i64 = 15 * 60_000;
/// The delivery of a change may take this long, in ms.
const DELIVERY_MS: i64 = 2 * 60_000;

/// Notes what a source should have told and has not: the first such thing since its last delivery. A finding is new in one
/// round only, and mostly younger there than its delivery may be.
pub(super) fn note(conn: &mut Conn, new: &[&Finding], now: i64) -> Result<(), StoreError> {
    for finding in new {
        let Some(source) = source_of(conn, &finding.event, now)? else { continue };
        let Some(last) = deliveries::last_received(conn, source)? else { continue };
        let known = untold_since(conn, source)?.filter(|at| *at > last);
        if finding.at > last && known.is_none_or(|known| finding.at < known) {
            cursors::put(conn, &untold(source), &finding.at.to_string(), now)?;
        }
    }
    Ok(())
}

/// Alerts where a source has sent nothing for long although something happened there. One alert per silence: its name is the
/// last delivery before it. Asked in every round, also where nothing was found.
pub(super) fn tell(conn: &mut Conn, ctx: &Context, now: i64) -> Result<(), StoreError> {
    for source in [Source::Plane, Source::Gitea] {
        let Some(last) = deliveries::last_received(conn, source)? else { continue };
        let is_untold = untold_since(conn, source)?.is_some_and(|at| at > last && at < now - DELIVERY_MS);
        if now - last < SILENT_MS || !is_untold {
            continue;
        }
        let message = Message::WebhooksSilent { source: source.as_str().to_owned(), since: Moment(last) };
        alerts::raise(conn, ctx, None, &message, &format!("silent:{}:{last}", source.as_str()), now)?;
    }
    Ok(())
}

fn untold(source: Source) -> String {
    format!("untold:{}", source.as_str())
}

fn untold_since(conn: &mut Conn, source: Source) -> Result<Option<i64>, StoreError> {
    Ok(cursors::get(conn, &untold(source))?.and_then(|at| at.parse().ok()))
}

/// Who should have told of it; nobody tells of statuses where the forge does not, or of what has no webhook at all.
fn source_of(conn: &mut Conn, event: &Observed, now: i64) -> Result<Option<Source>, StoreError> {
    Ok(match event {
        Observed::Plane(event) if matches!(event.what, PlaneChange::ItemDeleted | PlaneChange::ItemArchived) => None,
        Observed::Plane(_) => Some(Source::Plane),
        Observed::Gitea(GiteaEvent { owner, repo, what: GiteaChange::Status { .. }, .. }) => {
            tells_of_statuses(conn, &format!("{owner}/{repo}"), now)?.then_some(Source::Gitea)
        }
        Observed::Gitea(_) => Some(Source::Gitea),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::PlaneEvent;
    use orch_common::config::Config;
    use orch_common::domain::job::JobKind;
    use orch_common::store::deliveries::NewDelivery;
    use orch_common::store::jobs;
    use std::sync::Arc;
    use tokio_util::sync::CancellationToken;

    const MINUTE: i64 = 60_000;

    fn plane(what: PlaneChange) -> Observed {
        Observed::Plane(PlaneEvent { project: None, work_item: "w".into(), actor: None, what })
    }

    fn forge(what: GiteaChange) -> Observed {
        let (owner, repo) = ("acme".to_owned(), "shop".to_owned());
        Observed::Gitea(GiteaEvent { owner, repo, repo_id: None, sender_id: 0, sender_login: String::new(), what })
    }

    fn push() -> Observed {
        forge(GiteaChange::BranchCreated { branch: "b".into() })
    }

    fn status() -> Observed {
        forge(GiteaChange::Status { sha: "a".into(), state: "success".into(), context: "ci".into() })
    }

    fn finding(at: i64, event: Observed) -> Finding {
        Finding { key: "k".into(), at, event }
    }

    /// A fresh database, and a delivery of each source at `last`.
    fn installation(last: Option<i64>) -> (tempfile::TempDir, Arc<Context>) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.database.path = dir.path().join("orch.db");
        config.worker.runs_dir = dir.path().join("runs");
        config.worker.repos_dir = dir.path().join("repos");
        let ctx = Context::build(config, CancellationToken::new()).unwrap();
        for source in [Source::Plane, Source::Gitea] {
            last.iter().for_each(|at| deliver(&ctx, source, *at));
        }
        (dir, ctx)
    }

    fn deliver(ctx: &Context, source: Source, at: i64) {
        let key = format!("{at}").into_bytes();
        let new = NewDelivery { source, key, order_key: None, repo: None, payload: "{}".into() };
        deliveries::insert(&mut ctx.store.connection().unwrap(), &new, at).unwrap();
    }

    fn alerts(ctx: &Context) -> i64 {
        jobs::counts(&mut ctx.store.connection().unwrap()).unwrap()[&JobKind::Effect]["queued"]
    }

    /// A round at `now` that finds this for the first time.
    fn round(ctx: &Context, found: &[Finding], now: i64) -> i64 {
        let mut conn = ctx.store.connection().unwrap();
        note(&mut conn, &found.iter().collect::<Vec<_>>(), now).unwrap();
        tell(&mut conn, ctx, now).unwrap();
        drop(conn);
        alerts(ctx)
    }

    /// Whatever is between two rounds: the alert comes with the first round 15 minutes after the last delivery in which the
    /// finding is older than its delivery may be.
    #[test]
    fn a_silence_is_said_with_any_pause_between_rounds() {
        for pause_s in [5, 30, 60, 120, 300, 900, 3600] {
            for event in [plane(PlaneChange::LabelsChanged), push()] {
                let (_dir, ctx) = installation(Some(0));
                let (pause, happened) = (pause_s * 1000, 14 * MINUTE);
                let (mut now, mut found) = (pause, false);
                let said = loop {
                    let new = now >= happened && !found;
                    found |= new;
                    // What the forge does not date carries the time of the round.
                    let at = if matches!(event, Observed::Gitea(_)) { now } else { happened };
                    let list: Vec<Finding> = new.then(|| finding(at, event.clone())).into_iter().collect();
                    if round(&ctx, &list, now) > 0 {
                        break now;
                    }
                    assert!(now < 4 * 60 * MINUTE, "{pause_s}: never said");
                    now += pause;
                };
                assert!(said >= 15 * MINUTE, "{pause_s}: {said}");
                assert!(said <= 16 * MINUTE + 2 * pause, "{pause_s}: {said}");
                assert_eq!(round(&ctx, &[], said + pause), 1, "{pause_s}: once");
            }
        }
    }

    #[test]
    fn only_what_should_have_come_makes_a_silence() {
        let deleted = || plane(PlaneChange::ItemDeleted);
        let labels = || plane(PlaneChange::LabelsChanged);
        let table = [
            ("nothing happened", vec![], 0),
            ("told before the silence", vec![finding(-MINUTE, labels())], 0),
            ("its delivery may still come", vec![finding(59 * MINUTE, labels())], 0),
            ("Plane never tells that something is gone", vec![finding(20 * MINUTE, deleted())], 0),
            ("a forge that tells of no status", vec![finding(20 * MINUTE, status())], 0),
            ("untold", vec![finding(20 * MINUTE, labels())], 1),
            ("untold by both", vec![finding(20 * MINUTE, labels()), finding(20 * MINUTE, push())], 2),
        ];
        for (what, found, expected) in table {
            let (_dir, ctx) = installation(Some(0));
            assert_eq!(round(&ctx, &found, 60 * MINUTE), expected, "{what}");
        }
        let (_dir, ctx) = installation(None);
        assert_eq!(round(&ctx, &[finding(20 * MINUTE, labels())], 60 * MINUTE), 0, "it never sent anything");
    }

    #[test]
    fn a_delivery_ends_a_silence_and_the_next_is_another() {
        let labels = |at| finding(at, plane(PlaneChange::LabelsChanged));
        let (_dir, ctx) = installation(Some(0));
        assert_eq!(round(&ctx, &[labels(10 * MINUTE)], 11 * MINUTE), 0);
        deliver(&ctx, Source::Plane, 12 * MINUTE);
        assert_eq!(round(&ctx, &[], 40 * MINUTE), 0, "something came after it");
        assert_eq!(round(&ctx, &[labels(30 * MINUTE), labels(35 * MINUTE)], 40 * MINUTE), 1);
        deliver(&ctx, Source::Plane, 41 * MINUTE);
        assert_eq!(round(&ctx, &[labels(50 * MINUTE)], 55 * MINUTE), 1, "not for long enough");
        assert_eq!(round(&ctx, &[], 57 * MINUTE), 2, "another silence");
    }

    #[test]
    fn a_forge_that_tells_of_statuses_is_silent_where_one_is_missing() {
        let (_dir, ctx) = installation(Some(0));
        cursors::put(&mut ctx.store.connection().unwrap(), "gitea:statuses:acme/shop", "0", 0).unwrap();
        assert_eq!(round(&ctx, &[finding(20 * MINUTE, status())], 60 * MINUTE), 1);
    }
}
