//! What CI says of a commit: the newest status of each context, judged once they have been still for a while. Right after a
//! push "everything known is green" means little: the contexts of one head are registered seconds apart, and a run that is
//! registered later may repeat one of them.

use crate::domain::gate::FailedCheck;
use serde::{Deserialize, Serialize};

/// The contexts that the orchestrator writes itself; never evidence.
pub const OWN_CONTEXT_PREFIX: &str = "orch/";
/// By these words alone the forge tells a cancelled job from one that failed.
const CANCELLED: &str = "Has been cancelled";
/// The forge says times in whole seconds, so one that it names may be almost a second older.
const ROUNDING_MS: i64 = 1_000;

/// What one context says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// It succeeded, or was skipped.
    Passed,
    Running,
    Failed,
    /// Somebody, or the forge, ended it: that says nothing about the work.
    Cancelled,
    /// A word that nobody knows; the forge stores any.
    Unknown,
}

impl CheckState {
    /// From the state's word and its description.
    pub fn read(state: &str, description: &str) -> CheckState {
        match state {
            "success" | "skipped" => CheckState::Passed,
            "pending" => CheckState::Running,
            "failure" | "error" | "warning" if description.trim() == CANCELLED => CheckState::Cancelled,
            "failure" | "error" | "warning" => CheckState::Failed,
            _ => CheckState::Unknown,
        }
    }
}

/// The newest status of one context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub context: String,
    pub state: CheckState,
    pub description: String,
    /// A whole address for people, where there is one.
    pub link: Option<String>,
    /// When it was said, in ms by the forge's clock (whole seconds).
    pub at: i64,
}

/// How the checks of a commit are to be judged.
#[derive(Debug, Clone)]
pub struct Terms<'a> {
    /// Names or patterns of the contexts that count, each of which must be there; empty = all that there are.
    pub required: &'a [String],
    /// The present, in ms by the forge's clock.
    pub now: i64,
    /// How long nothing may have been said.
    pub settle_ms: i64,
    /// Something happened that starts runs (the pull request was opened), in ms by the forge's clock.
    pub stirred_at: Option<i64>,
}

/// What keeps checks from being judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfinished {
    /// Of all that count, or of some that are required, nothing was said.
    Nothing,
    /// All has been said, perhaps: it may be that more comes.
    Settling,
    /// Some have not ended.
    Running,
    /// Some were cancelled.
    Cancelled,
}

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Those that failed.
    Failed(Vec<Check>),
    Waiting {
        on: Unfinished,
        /// The contexts or patterns that are waited for.
        names: Vec<String>,
        /// After this many ms it is worth asking again although nothing was told.
        again_in_ms: Option<i64>,
    },
}

/// Judges the newest statuses of a commit's contexts; ours do not count.
pub fn judge(checks: &[Check], terms: &Terms<'_>) -> Verdict {
    let others: Vec<&Check> = checks.iter().filter(|c| !c.context.starts_with(OWN_CONTEXT_PREFIX)).collect();
    let is_meant = |c: &&Check| terms.required.is_empty() || terms.required.iter().any(|p| fits(p, &c.context));
    let counted: Vec<&Check> = others.iter().copied().filter(is_meant).collect();
    let missing: Vec<String> =
        terms.required.iter().filter(|p| !counted.iter().any(|c| fits(p, &c.context))).cloned().collect();
    let of = |state: CheckState| counted.iter().copied().filter(move |c| c.state == state);
    let names = |state: CheckState| of(state).map(|c| c.context.clone()).collect::<Vec<_>>();
    let restless = terms.restless_ms(&counted);
    let settling = |names: Vec<String>| Verdict::Waiting { on: Unfinished::Settling, names, again_in_ms: restless };
    let waiting = |on: Unfinished, names: Vec<String>| Verdict::Waiting { on, names, again_in_ms: None };

    let failed: Vec<Check> = of(CheckState::Failed).cloned().collect();
    let unfinished = [names(CheckState::Running), names(CheckState::Unknown)].concat();
    let cancelled = names(CheckState::Cancelled);
    match () {
        // What has failed has failed, however long others take; but another run of it may be about to be registered.
        () if !failed.is_empty() && restless.is_some() => settling(names(CheckState::Failed)),
        () if !failed.is_empty() => Verdict::Failed(failed),
        () if !unfinished.is_empty() => waiting(Unfinished::Running, unfinished),
        () if counted.is_empty() || !missing.is_empty() => waiting(Unfinished::Nothing, missing),
        () if restless.is_some() => settling(Vec::new()),
        () if !cancelled.is_empty() => waiting(Unfinished::Cancelled, cancelled),
        () => Verdict::Passed,
    }
}

impl Terms<'_> {
    /// How long it takes until these have been still for long enough; `None` = they have.
    fn restless_ms(&self, counted: &[&Check]) -> Option<i64> {
        if self.settle_ms == 0 {
            return None;
        }
        let newest = counted.iter().map(|c| c.at).chain(self.stirred_at).max()?;
        let rest = self.settle_ms + ROUNDING_MS;
        let left = newest.saturating_add(rest).saturating_sub(self.now);
        // A clock that is far ahead must not hold a task for as long.
        (left > 0).then_some(left.min(rest))
    }
}

impl Check {
    /// For people and for the developer; `log` is the end of its output.
    pub fn failed(&self, log: Option<String>) -> FailedCheck {
        let (name, says) = (self.context.clone(), self.description.clone());
        FailedCheck { name, says, link: self.link.clone(), log }
    }
}

/// Whether a context is meant by a name or a pattern, as the forge reads those of a branch rule: `*` stands for any text, `?` for
/// one character, `[a-z]` and `[!a-z]` for one of several, `{a,b}` for either.
pub fn fits(pattern: &str, context: &str) -> bool {
    if pattern == context {
        return true;
    }
    let text: Vec<char> = context.chars().collect();
    alternatives(pattern).iter().any(|one| matches(one, &text))
}

/// The most that the braces of a pattern may spell out.
const ALTERNATIVES: usize = 256;

/// The pattern with its braces spelt out.
fn alternatives(pattern: &str) -> Vec<Vec<char>> {
    let mut whole: Vec<String> = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, inside)) = rest.split_once('{') {
        let Some((list, after)) = inside.split_once('}') else { break };
        let parts: Vec<&str> = list.split(',').collect();
        if whole.len() * parts.len() > ALTERNATIVES {
            break;
        }
        whole = whole.iter().flat_map(|w| parts.iter().map(move |p| format!("{w}{before}{p}"))).collect();
        rest = after;
    }
    whole.into_iter().map(|w| format!("{w}{rest}").chars().collect()).collect()
}

/// One pass with a single place to come back to: the last `*`.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let one = pattern.get(p).and_then(|c| text.get(t).and_then(|given| one_fits(pattern, p, *c, *given)));
        match (pattern.get(p), one) {
            (Some('*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(_), Some(next)) => (p, t) = (next, t + 1),
            (Some(_) | None, _) => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Where the pattern goes on behind one character that fits.
fn one_fits(pattern: &[char], at: usize, wanted: char, given: char) -> Option<usize> {
    if wanted == '[' {
        let end = pattern.iter().skip(at + 2).position(|c| *c == ']').map(|n| at + 2 + n);
        if let Some(inside) = end.and_then(|end| pattern.get(at + 1..end)) {
            let (negated, set) = match inside.split_first() {
                Some(('!' | '^', set)) => (true, set),
                Some(_) | None => (false, inside),
            };
            return (is_in(set, given) != negated).then_some(at + inside.len() + 2);
        }
    }
    (wanted == '?' || wanted == given).then_some(at + 1)
}

fn is_in(set: &[char], given: char) -> bool {
    let mut rest = set;
    while let Some((first, after)) = rest.split_first() {
        match after {
            ['-', last, then @ ..] => {
                if (*first..=*last).contains(&given) {
                    return true;
                }
                rest = then;
            }
            _ if *first == given => return true,
            _ => rest = after,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use CheckState::{Cancelled, Failed, Passed, Running, Unknown};

    const NOW: i64 = 1_000_000;

    fn check(context: &str, state: CheckState, age_s: i64) -> Check {
        let at = NOW - age_s * 1_000;
        Check { context: context.into(), state, description: String::new(), link: None, at }
    }

    /// What is said of these with ten seconds of stillness asked for.
    fn said(required: &[&str], checks: &[(&str, CheckState, i64)]) -> String {
        let checks: Vec<Check> = checks.iter().map(|(context, state, age)| check(context, *state, *age)).collect();
        let required: Vec<String> = required.iter().map(|r| (*r).to_owned()).collect();
        let terms = Terms { required: &required, now: NOW, settle_ms: 10_000, stirred_at: None };
        match judge(&checks, &terms) {
            Verdict::Passed => "passed".into(),
            Verdict::Failed(checks) => {
                format!("failed {}", checks.iter().map(|c| c.context.as_str()).collect::<Vec<_>>().join(" "))
            }
            Verdict::Waiting { on, names, again_in_ms } => {
                let again = again_in_ms.map(|ms| format!(" again in {ms}")).unwrap_or_default();
                format!("{on:?} {}{again}", names.join(" ")).trim_end().to_owned()
            }
        }
    }

    #[test]
    fn a_word_of_the_forge_is_read_for_what_it_is() {
        let rows = [
            ("success", "", Passed),
            ("skipped", "Has been skipped", Passed),
            ("pending", "Blocked by required conditions", Running),
            ("failure", "Failing after 3s", Failed),
            ("failure", "Has been cancelled", Cancelled),
            ("error", "boom", Failed),
            ("warning", "", Failed),
            ("success", "Has been cancelled", Passed),
            ("splendid", "", Unknown),
            ("", "", Unknown),
        ];
        for (state, description, read) in rows {
            assert_eq!(CheckState::read(state, description), read, "{state} {description}");
        }
    }

    #[test]
    fn checks_are_judged_once_they_have_been_still() {
        let old = 60;
        for (required, checks, wanted) in [
            (&[][..], &[][..], "Nothing"),
            (&[], &[("orch/review", Passed, old)], "Nothing"),
            (&[], &[("orch/review", Failed, old), ("ci", Passed, old)], "passed"),
            (&[], &[("ci", Passed, old), ("lint", Passed, 11)], "passed"),
            // The first green one is not enough.
            (&[], &[("lint", Passed, 1)], "Settling  again in 10000"),
            (&[], &[("lint", Passed, 4), ("build", Failed, 1)], "Settling build again in 10000"),
            (&[], &[("lint", Passed, 60), ("build", Failed, 30)], "failed build"),
            (&[], &[("lint", Passed, 60), ("build", Running, 30)], "Running build"),
            (&[], &[("lint", Passed, 60), ("build", Running, 1)], "Running build"),
            // What has failed need not wait for the others.
            (&[], &[("lint", Failed, 60), ("build", Running, 30)], "failed lint"),
            (&[], &[("lint", Failed, 60), ("build", Running, 1)], "Settling lint again in 10000"),
            (&[], &[("lint", Cancelled, 60), ("build", Passed, 30)], "Cancelled lint"),
            (&[], &[("lint", Cancelled, 60), ("build", Running, 30)], "Running build"),
            (&[], &[("lint", Cancelled, 60), ("build", Failed, 30)], "failed build"),
            (&[], &[("lint", Cancelled, 1)], "Settling  again in 10000"),
            (&[], &[("ci", Unknown, 60)], "Running ci"),
            (&[], &[("ci", Unknown, 60), ("lint", Failed, 60)], "failed lint"),
            // Only what is asked for counts, and all of that.
            (&["ci / *"], &[("ci / a", Passed, 60), ("other", Failed, 60)], "passed"),
            (&["ci / *"], &[("ci / a", Passed, 60), ("ci / b", Running, 60)], "Running ci / b"),
            (&["ci / *"], &[("other", Passed, 60)], "Nothing ci / *"),
            (&["ci", "lint"], &[("ci", Passed, 60)], "Nothing lint"),
            (&["ci", "lint"], &[("ci", Failed, 60)], "failed ci"),
            (&["ci"], &[("ci", Passed, 60), ("other", Passed, 1)], "passed"),
            (&["orch/*"], &[("orch/review", Passed, 60)], "Nothing orch/*"),
        ] {
            assert_eq!(said(required, checks), wanted, "{required:?} {checks:?}");
        }
    }

    #[test]
    fn a_request_that_was_just_opened_may_start_more_and_no_clock_holds_for_long() {
        let green = [check("ci", Passed, 60)];
        let at = |stirred_at, settle_ms| judge(&green, &Terms { required: &[], now: NOW, settle_ms, stirred_at });
        assert_eq!(at(None, 10_000), Verdict::Passed);
        assert_eq!(at(Some(NOW - 20_000), 10_000), Verdict::Passed);
        let settling = |ms| Verdict::Waiting { on: Unfinished::Settling, names: vec![], again_in_ms: Some(ms) };
        assert_eq!(at(Some(NOW - 4_000), 10_000), settling(7_000));
        assert_eq!(at(Some(NOW + 3_600_000), 10_000), settling(11_000));
        let terms = Terms { required: &[], now: NOW, settle_ms: 0, stirred_at: None };
        assert_eq!(judge(&[check("ci", Passed, -1)], &terms), Verdict::Passed, "nothing is to be waited for");
    }

    #[test]
    fn names_and_patterns() {
        for (pattern, context, fit) in [
            ("ci", "ci", true),
            ("ci", "ci / test", false),
            ("ci*", "ci / test", true),
            ("*", "anything (push)", true),
            ("ci / * (push)", "ci / test (2) (push)", true),
            ("ci / * (push)", "ci / test (pull_request)", false),
            ("ci / test (?) (push)", "ci / test (2) (push)", true),
            ("ci / {lint,test} (push)", "ci / test (push)", true),
            ("ci / {lint,test} (push)", "ci / build (push)", false),
            ("ci / test [12]", "ci / test 2", true),
            ("ci / test [0-9]", "ci / test 7", true),
            ("ci / test [!0-9]", "ci / test 7", false),
            ("ci / test [x]", "ci / test [x]", true),
            ("größe / *", "größe / 🧪 (push)", true),
            ("**", "a/b", true),
            ("{", "{", true),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("*a", "aaab", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(fits(pattern, context), fit, "{pattern} {context}");
        }
        let hard = "*a".repeat(40);
        assert!(!fits(&hard, &"a".repeat(20_000)[..39]), "and it ends");
        assert!(!fits(&"{a,b}".repeat(40), "x"));
    }
}
