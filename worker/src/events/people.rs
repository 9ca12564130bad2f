//! The names of a project's people, for the mentions in a text. Asked for where somebody is mentioned, and kept for a while;
//! a name that cannot be had stops nothing, the id stands in its place.

use crate::clients::plane::Person;
use crate::context::Context;
use crate::html;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a list of people is taken for right.
const KEPT: Duration = Duration::from_secs(600);

/// Names by ids.
type Names = HashMap<String, String>;

/// What was asked, by project.
#[derive(Debug, Default)]
pub struct People(Mutex<HashMap<String, (Instant, Names)>>);

impl People {
    fn known(&self, project: &str) -> Option<Names> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(project).filter(|(at, _)| at.elapsed() < KEPT).map(|(_, names)| names.clone())
    }

    fn keep(&self, project: &str, names: &Names) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(project.to_owned(), (Instant::now(), names.clone()));
    }
}

/// The names of those who are mentioned in a text, by their ids; nobody is asked where nobody is.
pub(crate) async fn names_in(ctx: &Context, project: &str, text: &str) -> Names {
    let people = ctx.accounts.people();
    let (Some(plane), false) = (&ctx.outside.plane, html::mentioned(text).is_empty()) else { return Names::new() };
    if let Some(names) = people.known(project) {
        return names;
    }
    match plane.members(project).await {
        Ok(members) => {
            let names = members.into_iter().map(|person| (person.id.clone(), name_of(&person))).collect();
            people.keep(project, &names);
            names
        }
        Err(error) => {
            tracing::warn!(%error, "the project's people could not be read; who is mentioned is named by id");
            Names::new()
        }
    }
}

fn name_of(person: &Person) -> String {
    let name = person.display_name.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() { person.id.clone() } else { name }
}
