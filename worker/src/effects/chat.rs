//! Messages to the chat. A bot may send about one every few seconds, and a busy minute makes many: what waits when a turn comes
//! goes out as one message, in its order.

use super::send::{SendError, Sent};
use super::text::TELEGRAM_UNITS;
use crate::context::Context;
use orch_common::domain::effect::Effect;
use orch_common::store::jobs::{self, Job};
use orch_common::store::{Conn, StoreError};
use std::sync::Arc;

/// Messages in one at most.
const MOST: i64 = 20;
/// Between two of them.
const BETWEEN: &str = "\n\n———\n\n";

/// Sends the message of this job with those that wait behind it; gives the jobs whose messages were among them.
pub(super) async fn send(ctx: &Arc<Context>, job: &Job, text: &str) -> Result<(Sent, Vec<i64>), SendError> {
    let row = job.clone();
    let behind = ctx.store.read(move |c| jobs::waiting_behind(c, &row, MOST - 1)).await;
    let behind: Vec<(i64, String)> = behind.unwrap_or_default().into_iter().map_while(words_of).collect();
    let (joined, with_it) = join(text, behind);
    match ctx.outside.send(&Effect::Telegram { text: joined }).await {
        // One of them may be what cannot be taken: the others are not lost with it.
        Err(error) if !with_it.is_empty() && !is_later(&error) => {
            let alone = ctx.outside.send(&Effect::Telegram { text: text.to_owned() }).await?;
            Ok((alone, Vec::new()))
        }
        sent => Ok((sent?, with_it)),
    }
}

const fn is_later(error: &SendError) -> bool {
    match error {
        SendError::Outside(error) => error.is_transient(),
        SendError::Transient { .. } => true,
        SendError::Permanent { .. } => false,
    }
}

/// Ends the jobs whose messages went out with this one's.
pub(super) fn finish(conn: &mut Conn, job: &Job, with_it: &[i64], now: i64) -> Result<(), StoreError> {
    if !with_it.is_empty() && jobs::is_held(conn, job)? {
        jobs::finish_waiting(conn, with_it, &format!("sent with the message of job {}", job.id), now)?;
    }
    Ok(())
}

fn words_of(job: Job) -> Option<(i64, String)> {
    match serde_json::from_str(&job.payload) {
        Ok(Effect::Telegram { text }) => Some((job.id, text)),
        Ok(_) | Err(_) => None,
    }
}

/// As many as fit into one message, in their order.
fn join(first: &str, behind: Vec<(i64, String)>) -> (String, Vec<i64>) {
    let units = |text: &str| text.encode_utf16().count();
    let (mut joined, mut ids) = (first.to_owned(), Vec::new());
    for (id, text) in behind {
        if units(&joined) + units(BETWEEN) + units(&text) > TELEGRAM_UNITS {
            break;
        }
        joined.push_str(BETWEEN);
        joined.push_str(&text);
        ids.push(id);
    }
    (joined, ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_joined_in_their_order_as_far_as_one_can_hold_them() {
        let text = |n: usize| (i64::try_from(n).unwrap(), n.to_string().repeat(1500));
        let (joined, ids) = join("first", vec![text(1), text(2), text(3), (4, "short".into())]);
        assert_eq!(ids, [1, 2], "what is later does not overtake");
        let parts: Vec<&str> = joined.split(BETWEEN).collect();
        assert_eq!(parts, ["first", &"1".repeat(1500), &"2".repeat(1500)]);
        assert!(joined.encode_utf16().count() <= TELEGRAM_UNITS);
        assert_eq!(join("alone", vec![]), ("alone".to_owned(), vec![]));
        let long = "🚀".repeat(2048);
        assert_eq!(join(&long, vec![(5, "more".into())]).1, Vec::<i64>::new(), "full already");
    }
}
