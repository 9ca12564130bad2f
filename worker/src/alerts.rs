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
    let about = task.map(|id| tasks::get(conn, id)).transpose()?.flatten();
    let text = match &about {
        Some(task) => ctx.chat_text(task, message),
        None => ctx.catalogue.render(message),
    };
    tracing::warn!(alert = message.name(), key, "alert");
    enqueue_effect(conn, task, &Effect::Telegram { text }, &format!("alert:{key}"), now)
}
