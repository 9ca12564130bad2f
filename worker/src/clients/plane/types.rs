//! What Plane answers, cut to the fields Orch uses. Unknown fields are dropped: releases add them freely.

use crate::clients::times;
use serde::Deserialize;

/// One page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub results: Vec<T>,
    #[serde(default)]
    pub next_cursor: Option<String>,
    #[serde(default)]
    pub next_page_results: bool,
}

/// A user, or a member of a project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Person {
    /// UUID text.
    pub id: String,
    #[serde(default)]
    pub display_name: String,
    #[serde(default)]
    pub email: Option<String>,
    /// 20 admin, 15 member, 5 guest; only where the workspace's people are listed.
    #[serde(default)]
    pub role: Option<i32>,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Project {
    /// UUID text.
    pub id: String,
    pub name: String,
    /// The prefix of its work items' numbers. May hold blanks, slashes and non-ASCII letters.
    pub identifier: String,
    /// The token's role there: 5 guest, 15 member, 20 admin; older servers do not say it.
    #[serde(default)]
    pub member_role: Option<i32>,
}

/// A state a work item can have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct State {
    /// UUID text.
    pub id: String,
    pub name: String,
    /// `backlog unstarted started completed cancelled`, or a word of a later release.
    pub group: String,
    #[serde(default)]
    pub default: bool,
}

/// A label of a project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Label {
    /// UUID text.
    pub id: String,
    pub name: String,
}

/// Something an item points to: only its id, or the thing itself where Plane was asked to expand it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "WireReference")]
pub struct Reference {
    /// UUID text.
    pub id: String,
    pub name: Option<String>,
    /// Of a state.
    pub group: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireReference {
    Id(String),
    Expanded {
        id: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        group: Option<String>,
    },
}

impl From<WireReference> for Reference {
    fn from(wire: WireReference) -> Self {
        match wire {
            WireReference::Id(id) => Reference { id, name: None, group: None },
            WireReference::Expanded { id, name, group } => Reference { id, name, group },
        }
    }
}

/// A work item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WorkItem {
    /// UUID text.
    pub id: String,
    /// The title.
    pub name: String,
    /// The number people see, after the project's identifier.
    pub sequence_id: i64,
    #[serde(default)]
    pub description_html: Option<String>,
    pub state: Reference,
    #[serde(default)]
    pub labels: Vec<Reference>,
    #[serde(default)]
    pub created_by: Option<String>,
    #[serde(default)]
    pub updated_by: Option<String>,
    #[serde(default)]
    pub external_source: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
    #[serde(default)]
    pub archived_at: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub created_at: i64,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub updated_at: i64,
}

/// A comment on a work item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Comment {
    /// UUID text.
    pub id: String,
    /// The account that wrote it; unlike `created_by` it cannot be given by the writer.
    #[serde(default)]
    pub actor: Option<String>,
    #[serde(default)]
    pub created_by: Option<String>,
    /// The account that last changed it: any member can change anyone's comment.
    #[serde(default)]
    pub updated_by: Option<String>,
    #[serde(default)]
    pub comment_html: String,
    #[serde(default)]
    pub external_source: Option<String>,
    #[serde(default)]
    pub external_id: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub created_at: i64,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub updated_at: i64,
}

impl Comment {
    /// It is our own of this key.
    pub fn is_under(&self, key: &str) -> bool {
        self.external_source.as_deref() == Some(super::EXTERNAL_SOURCE) && self.external_id.as_deref() == Some(key)
    }

    /// These are this account's words: it wrote them, and nobody else has changed them.
    pub fn is_word_of(&self, account: &str) -> bool {
        let is = |id: &String| id.eq_ignore_ascii_case(account);
        self.actor.as_ref().is_some_and(is) && self.updated_by.as_ref().is_none_or(is)
    }
}

/// A link of a work item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Link {
    /// UUID text.
    pub id: String,
    pub url: String,
    #[serde(default)]
    pub created_by: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub created_at: i64,
}

/// A file that is attached to a work item.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Attachment {
    /// UUID text, of the file.
    pub id: String,
    #[serde(default)]
    pub attributes: FileAttributes,
}

/// What Plane knows of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct FileAttributes {
    #[serde(default)]
    pub name: String,
}

/// One line of a work item's history.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Activity {
    /// UUID text.
    pub id: String,
    /// `created`, `updated`, `deleted`.
    pub verb: String,
    #[serde(default)]
    pub field: Option<String>,
    /// For people: names, not ids.
    #[serde(default)]
    pub old_value: Option<String>,
    #[serde(default)]
    pub new_value: Option<String>,
    /// The id behind `new_value`, where it has one.
    #[serde(default)]
    pub new_identifier: Option<String>,
    #[serde(default)]
    pub actor: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(deserialize_with = "times::millis")]
    pub created_at: i64,
}

impl Activity {
    /// The item was moved to this state.
    pub fn is_move_to(&self, state_id: &str) -> bool {
        self.field.as_deref() == Some("state")
            && self.new_identifier.as_deref().is_some_and(|id| id.eq_ignore_ascii_case(state_id))
    }

    /// This account did it.
    pub fn is_by(&self, account: &str) -> bool {
        self.actor.as_deref().is_some_and(|actor| actor.eq_ignore_ascii_case(account))
    }
}

/// A write that is made once under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// Of the new thing, or of the one that is there; empty where the service does not say.
    pub id: String,
    /// It was there already.
    pub existed: bool,
}
