//! Webhooks that stopped coming: Plane switches a webhook off after some failures and tells no program, a forge forgets
//! what it could not deliver. Asking goes on, but slowly; a person must look.

use super::findings::Finding;
use crate::alerts;
use crate::context::Context;
use crate::events::Observed;
use orch_common::domain::messages::{Message, Moment};
use orch_common::store::deliveries::{self, Source};
use orch_common::store::{Conn, StoreError};

/// A source that sent nothing for this long while something happened there is silent, in ms.
const SILENT_MS: i64 = 15 * 60_000;
/// The delivery of a change may take this long, in ms.
const DELIVERY_MS: i64 = 2 * 60_000;

/// Alerts where `new` holds what a source should have told long ago. One alert per silence: its name is the last
/// delivery before it.
pub(super) fn notice(conn: &mut Conn, ctx: &Context, new: &[&Finding], now: i64) -> Result<(), StoreError> {
    for source in [Source::Plane, Source::Gitea] {
        let Some(last) = deliveries::last_received(conn, source)? else { continue };
        let untold = |f: &&&Finding| is_of(&f.event, source) && f.at > last && f.at < now - DELIVERY_MS;
        if now - last < SILENT_MS || !new.iter().any(|f| untold(&f)) {
            continue;
        }
        let message = Message::WebhooksSilent { source: source.as_str().to_owned(), since: Moment(last) };
        alerts::raise(conn, ctx, None, &message, &format!("silent:{}:{last}", source.as_str()), now)?;
    }
    Ok(())
}

const fn is_of(event: &Observed, source: Source) -> bool {
    matches!((event, source), (Observed::Plane(_), Source::Plane) | (Observed::Gitea(_), Source::Gitea))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{PlaneChange, PlaneEvent};
    use orch_common::config::Config;
    use orch_common::domain::job::JobKind;
    use orch_common::store::deliveries::NewDelivery;
    use orch_common::store::jobs;
    use tokio_util::sync::CancellationToken;

    const MINUTE: i64 = 60_000;

    fn finding(at: i64) -> Finding {
        let what = PlaneChange::LabelsChanged;
        let event = PlaneEvent { project: None, work_item: "w".into(), actor: None, what };
        Finding { key: "k".into(), at, event: Observed::Plane(event) }
    }

    #[test]
    fn a_silence_is_said_once_and_only_where_something_should_have_come() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.database.path = dir.path().join("orch.db");
        config.worker.runs_dir = dir.path().join("runs");
        config.worker.repos_dir = dir.path().join("repos");
        let ctx = Context::build(config, CancellationToken::new()).unwrap();
        let now = 100 * MINUTE;
        let alerts = |conn: &mut Conn| jobs::counts(conn).unwrap()[&JobKind::Effect]["queued"];
        let mut conn = ctx.store.connection().unwrap();
        notice(&mut conn, &ctx, &[&finding(now - 10 * MINUTE)], now).unwrap();
        assert_eq!(alerts(&mut conn), 0, "it never sent anything");
        let delivery = |key: u8| NewDelivery {
            source: Source::Plane,
            key: vec![key],
            order_key: None,
            repo: None,
            payload: "{}".into(),
        };
        deliveries::insert(&mut conn, &delivery(1), now - 30 * MINUTE).unwrap();
        let table = [
            ("nothing new", vec![], now, 0),
            ("its delivery may still come", vec![finding(now - MINUTE)], now, 0),
            ("told before the silence", vec![finding(now - 40 * MINUTE)], now, 0),
            ("untold", vec![finding(now - 10 * MINUTE)], now, 1),
            ("the same silence", vec![finding(now)], now + 10 * MINUTE, 1),
        ];
        for (what, found, now, expected) in table {
            notice(&mut conn, &ctx, &found.iter().collect::<Vec<_>>(), now).unwrap();
            assert_eq!(alerts(&mut conn), expected, "{what}");
        }
        deliveries::insert(&mut conn, &delivery(2), now).unwrap();
        notice(&mut conn, &ctx, &[&finding(now + 10 * MINUTE)], now + 14 * MINUTE).unwrap();
        assert_eq!(alerts(&mut conn), 1, "not for long enough");
        notice(&mut conn, &ctx, &[&finding(now + 10 * MINUTE)], now + 20 * MINUTE).unwrap();
        assert_eq!(alerts(&mut conn), 2, "another silence");
    }
}
