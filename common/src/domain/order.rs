//! Keys under which events are handled one at a time, in the order of their coming.

/// A longer name is no branch that a task could have.
const LONGEST_ABOUT: usize = 200;

/// Of a work item. Its deletion names no project.
pub fn of_item(project: &str, work_item: &str) -> String {
    format!("plane:{}:{}", project.to_lowercase(), work_item.to_lowercase())
}

/// Of a repository `owner/name` at the forge. What happens to one branch (a push, its end, its pull request, a review of that,
/// the jobs of its CI) is handled in its order; a branch's slow look holds no other's. `about` is the branch, else the number of
/// the pull request or the commit; `None` = it names none of them.
pub fn at_forge(repo: &str, about: Option<&str>) -> String {
    match about.filter(|about| !about.is_empty() && about.len() <= LONGEST_ABOUT) {
        Some(about) => format!("gitea:{repo}:{about}"),
        None => format!("gitea:{repo}"),
    }
}
