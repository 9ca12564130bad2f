//! Words to the team's chat that belong to no decision: a failed job, the breaker, a limit, a fault.

use crate::context::Context;
use crate::engine::apply::enqueue_effect;
use orch_common::domain::effect::Effect;
use orch_common::domain::messages::Message;
use orch_common::store::{Conn, StoreError, tasks};

/// Queues one message; the same key again says nothing.
pub fn raise(
    conn: &mut Conn,
    ctx: &Context,
    task: Option<i64>,
    message: &Message,
    key: &str,
    now: i64,
) -> Result<(), StoreError> {
    let head = match task {
        Some(id) => tasks::get(conn, id)?.map(|t| format!("{} {}\n\n", t.key, t.title)).unwrap_or_default(),
        None => String::new(),
    };
    let text = format!("{head}{}", ctx.catalogue.render(message));
    tracing::warn!(alert = message.name(), key, "alert");
    enqueue_effect(conn, task, &Effect::Telegram { text }, &format!("alert:{key}"), now)
}
