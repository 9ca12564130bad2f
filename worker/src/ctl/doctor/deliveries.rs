//! What came by webhook and what was refused: the one proof that a webhook works, since the secret that is set at its sender cannot
//! be read there, nor what became of its deliveries.

use super::report::Report;
use super::{Asked, age};
use orch_common::store::deliveries::Source;
use orch_common::store::refusals::{Reason, Refused};

const DAY_MS: i64 = 86_400_000;

/// What a source's deliveries say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// They come.
    Heard(i64),
    /// They are refused.
    Refused,
    Nothing,
}

/// The newest refusal for want of the right secret since anything was taken.
pub fn wrong_secret(refused: &[Refused], source: Source, heard: Option<i64>) -> Option<Refused> {
    let secret = |r: &&Refused| matches!(r.reason, Reason::WrongSignature | Reason::Unsigned);
    let of = refused.iter().filter(|r| r.source == source).filter(secret);
    of.filter(|r| heard.is_none_or(|at| r.last_at > at)).max_by_key(|r| r.last_at).copied()
}

/// The lines about a source; `cure`: how its secret is set anew.
pub fn check(report: &Report, asked: &Asked<'_>, source: Source, cure: &str) -> Proof {
    let name = match source {
        Source::Plane => "plane",
        Source::Gitea => "gitea",
    };
    let check = format!("{name}.deliveries");
    let heard = asked.known.heard(source);
    let refused = &asked.known.refused;
    rare(report, asked, source, &check);
    if let Some(last) = wrong_secret(refused, source, heard) {
        let why = match last.reason {
            Reason::Unsigned => "without a signature (no secret is set at the webhook)",
            Reason::WrongSignature
            | Reason::TooLarge
            | Reason::Unreadable
            | Reason::Unknown
            | Reason::NoSecret
            | Reason::Busy => "signed with another secret",
        };
        let since = if heard.is_some() { " since the last that was taken" } else { "" };
        let found = format!("{} came {why}{since}, the last {}", last.count, age(asked.now, last.last_at));
        report.fail(check, found, cure);
        return Proof::Refused;
    }
    match (heard, unknown(refused, source)) {
        (Some(at), _) => {
            report.ok(check, format!("the last came {}", age(asked.now, at)));
            Proof::Heard(at)
        }
        (None, Some(unknown)) => {
            let found = format!("{} came, and none about what a project names", unknown.count);
            report.warn(check, found, "mend plane_project and repo in [[projects]], and restart orch-api");
            Proof::Nothing
        }
        (None, None) => Proof::Nothing,
    }
}

fn unknown(refused: &[Refused], source: Source) -> Option<&Refused> {
    refused.iter().find(|r| r.source == source && r.reason == Reason::Unknown)
}

/// What is refused now and then for another reason, while it is fresh.
fn rare(report: &Report, asked: &Asked<'_>, source: Source, check: &str) {
    let fresh = |r: &&Refused| r.source == source && asked.now - r.last_at < DAY_MS;
    let secret = match source {
        Source::Plane => &asked.config.plane.webhook_secret,
        Source::Gitea => &asked.config.gitea.webhook_secret,
    };
    for refused in asked.known.refused.iter().filter(fresh) {
        let (what, todo) = match refused.reason {
            Reason::TooLarge => (
                "larger than 25 MiB (413)",
                "nothing has to be done: what they said is found by asking; push very many files in parts",
            ),
            Reason::Unreadable => ("signed, and no webhook that can be read", "look at the log of orch-api"),
            Reason::Busy => ("at a time when the database could not take them (503)", "look at the log of orch-api"),
            Reason::NoSecret if secret.is_some() => {
                ("while orch-api had no secret", "restart orch-api if it was started before the secret was set")
            }
            Reason::NoSecret | Reason::Unsigned | Reason::WrongSignature | Reason::Unknown => continue,
        };
        if asked.known.heard(source).is_some_and(|at| at > refused.last_at) && refused.reason == Reason::NoSecret {
            continue;
        }
        let found = format!("{} came {what}, the last {}", refused.count, age(asked.now, refused.last_at));
        report.warn(check, found, todo);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_secret_is_one_that_nothing_was_taken_after() {
        let of = |reason, last_at| Refused { source: Source::Gitea, reason, count: 1, first_at: 1, last_at };
        let table: [(&[Refused], Option<i64>, bool); 7] = [
            (&[], None, false),
            (&[of(Reason::WrongSignature, 50)], None, true),
            (&[of(Reason::Unsigned, 50)], Some(40), true),
            (&[of(Reason::WrongSignature, 50)], Some(60), false),
            (&[of(Reason::TooLarge, 50), of(Reason::Busy, 50)], Some(40), false),
            (&[of(Reason::Unknown, 50)], None, false),
            (&[Refused { source: Source::Plane, ..of(Reason::WrongSignature, 50) }], None, false),
        ];
        for (refused, heard, wrong) in table {
            assert_eq!(wrong_secret(refused, Source::Gitea, heard).is_some(), wrong, "{refused:?} {heard:?}");
        }
    }
}
