//! Whose deeds are not a person's: the orchestrator's own accounts, by id. Asked for once and kept; as long as
//! the answer cannot be had, no event is decided on (a comment of ours must never be taken for a person's).

use super::people::People;
use crate::clients::ApiError;
use crate::effects::send::Outside;
use orch_common::config::Config;
use tokio::sync::OnceCell;

/// Ids of the orchestrator's own accounts.
#[derive(Debug, Default)]
pub struct OwnAccounts {
    /// Further accounts whose words are not a person's.
    bots: Vec<String>,
    plane: OnceCell<Option<String>>,
    gitea: OnceCell<Option<i64>>,
    reviewer: OnceCell<Option<i64>>,
    people: People,
}

impl OwnAccounts {
    /// Nothing is asked yet.
    pub fn new(config: &Config) -> Self {
        OwnAccounts { bots: config.plane.bot_user_ids.clone(), ..OwnAccounts::default() }
    }

    /// The people whose names were asked for.
    pub(super) const fn people(&self) -> &People {
        &self.people
    }

    /// Whether a Plane user is one of ours (or a configured bot).
    ///
    /// # Errors
    /// Where Plane is configured but cannot say who we are.
    pub async fn is_own_in_plane(&self, outside: &Outside, actor: &str) -> Result<bool, ApiError> {
        if self.bots.iter().any(|bot| bot.eq_ignore_ascii_case(actor)) {
            return Ok(true);
        }
        let me = self
            .plane
            .get_or_try_init(|| async {
                match &outside.plane {
                    Some(plane) => plane.me().await.map(|person| Some(person.id)),
                    None => Ok(None),
                }
            })
            .await?;
        Ok(me.as_deref().is_some_and(|me| me.eq_ignore_ascii_case(actor)))
    }

    /// The id of the second account at the forge, which reviews.
    ///
    /// # Errors
    /// Where the forge cannot say who that is.
    pub async fn reviewer_in_gitea(&self, outside: &Outside) -> Result<Option<i64>, ApiError> {
        let ask = || async {
            match &outside.reviewer {
                Some(gitea) => gitea.me().await.map(|account| Some(account.id)),
                None => Ok(None),
            }
        };
        self.reviewer.get_or_try_init(ask).await.copied()
    }

    /// The id of our own account at the forge.
    ///
    /// # Errors
    /// Where the forge is configured but cannot say who we are.
    pub async fn own_in_gitea(&self, outside: &Outside) -> Result<Option<i64>, ApiError> {
        let ask = || async {
            match &outside.gitea {
                Some(gitea) => gitea.me().await.map(|account| Some(account.id)),
                None => Ok(None),
            }
        };
        self.gitea.get_or_try_init(ask).await.copied()
    }
}
