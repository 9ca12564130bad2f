use super::*;

fn ends() -> Ends {
    Ends { base: "main".into(), head: "h".into(), draft: false, mergeable: true }
}

#[test]
fn what_prefers_a_forbidden_style_is_merged_by_one_that_is_allowed() {
    use MergeStyle::{FastForwardOnly, Merge, Rebase, Squash};
    let table: [(&str, &[MergeStyle], &[MergeStyle]); 5] = [
        ("squash", MergeStyle::ALL, &[Squash, Merge, MergeStyle::RebaseMerge, Rebase, FastForwardOnly]),
        ("squash", &[Rebase, Merge], &[Merge, Rebase]),
        ("", &[Rebase], &[Rebase]),
        ("sideways", &[FastForwardOnly], &[FastForwardOnly]),
        ("merge", &[], &[]),
    ];
    for (preferred, allowed, expected) in table {
        assert_eq!(styles(preferred, allowed), expected, "{preferred} of {allowed:?}");
    }
}

#[test]
fn a_merge_is_asked_for_only_of_the_judged_commit_into_the_tasks_base() {
    let later = |next: &Next| matches!(next, Next::Later { .. });
    assert_eq!(before(&ends(), "main", "h"), Next::Merge);
    let retargeted = Hold::Retargeted { base: "develop".into(), wanted: "main".into() };
    assert_eq!(before(&Ends { base: "develop".into(), ..ends() }, "main", "h"), Next::Hold(retargeted));
    assert_eq!(before(&Ends { draft: true, mergeable: false, ..ends() }, "main", "h"), Next::Hold(Hold::Draft));
    assert!(later(&before(&Ends { head: "pushed".into(), ..ends() }, "main", "h")));
    assert!(later(&before(&Ends { mergeable: false, ..ends() }, "main", "h")), "no conflict: git is asked for those");
}

/// The answers of GITEA.md, and what each comes to where the pull request is still open.
#[test]
fn each_refusal_is_read_for_what_it_is() {
    use MergeStyle::{FastForwardOnly, Merge, Rebase};
    let hold = Next::Hold;
    let later = || Next::later("");
    let hook = || hold(Hold::Hook { words: "no merges on Friday".into() });
    let rule = |words: &str| hold(Hold::Rule { words: words.into() });
    let table: Vec<(u16, &str, MergeStyle, bool, Next)> = vec![
        (200, "<!DOCTYPE html>", Merge, true, later()),
        (405, "Please try again later", Merge, true, later()),
        (405, "Does not have enough approvals", Merge, true, hold(Hold::Approvals { wanted: 2 })),
        (405, "There are requested changes", Merge, true, hold(Hold::Rejected { by: vec!["hugo".into()] })),
        (
            405,
            "Not all required status checks successful",
            Merge,
            true,
            hold(Hold::Checks { names: vec!["ci".into()] }),
        ),
        (
            405,
            "User not allowed to merge PR",
            Merge,
            true,
            hold(Hold::NotAllowed { words: "User not allowed to merge PR".into() }),
        ),
        (405, "wont sign: nokey", Merge, true, rule("wont sign: nokey")),
        (405, "Work in progress PRs cannot be merged", Merge, true, hold(Hold::Draft)),
        (405, "The head branch is behind the base branch", Merge, false, Next::BringUpToDate),
        (
            405,
            "The head branch is behind the base branch",
            Merge,
            true,
            rule("The head branch is behind the base branch"),
        ),
        (405, "squash is not allowed an allowed merge style for this repository", Merge, true, Next::OtherStyle),
        // Forgejo, of one that is merged; that it is not merged was asked.
        (405, "", Merge, true, later()),
        (409, "head out of date", Merge, true, later()),
        (409, "merge push out of date", Merge, true, later()),
        (409, "PushRejected with remote message: no  merges\n on Friday", Merge, true, hook()),
        // Forgejo's conflict has no message; git has said that there is none, so the base moved since.
        (409, "", Merge, false, later()),
        (409, "", Rebase, true, Next::OtherStyle),
        (422, "[Do]: In", Merge, true, Next::OtherStyle),
        (423, "acme/widgets is archived", Merge, true, hold(Hold::Archived)),
        (500, "", FastForwardOnly, false, Next::BringUpToDate),
        (500, "", FastForwardOnly, true, later()),
        (500, "", Merge, false, later()),
        (502, "<html>", Merge, true, later()),
        (404, "not found", Merge, true, later()),
        (429, "", Merge, true, later()),
        (0, "timed out", Merge, true, later()),
        (403, "token scope", Merge, true, hold(Hold::NotAllowed { words: "token scope".into() })),
        (418, "teapot", Merge, true, rule("teapot")),
    ];
    for (status, words, style, up_to_date, expected) in table {
        let (rejected_by, checks) = (vec!["hugo".into()], vec!["ci".into()]);
        let got = after(&Refused { status, words, style, up_to_date, approvals: 2, rejected_by, checks });
        match (&got, &expected) {
            (Next::Later { why }, Next::Later { .. }) => assert!(!why.is_empty()),
            _ => assert_eq!(got, expected, "{status} {words:?} {style} {up_to_date}"),
        }
    }
}

#[test]
fn different_holds_are_told_apart_and_the_same_one_is_not() {
    let checks = |name: &str| Hold::Checks { names: vec![name.into()] };
    assert_eq!(checks("lint").key(), checks("build").key(), "one comment while checks run, not one for each");
    let all = [
        Hold::Forge { why: "x".into() },
        checks("lint"),
        Hold::Approvals { wanted: 1 },
        Hold::Approvals { wanted: 2 },
        Hold::Rejected { by: vec!["hugo".into()] },
        Hold::Rejected { by: vec!["tom".into()] },
        Hold::Draft,
        Hold::Retargeted { base: "develop".into(), wanted: "main".into() },
        Hold::Gone,
        Hold::Archived,
        Hold::Style,
        Hold::NotAllowed { words: "x".into() },
        Hold::Hook { words: "x".into() },
        Hold::Rule { words: "x".into() },
        Hold::Otherwise { by: "maria".into(), missing: vec![], unjudged: vec![] },
    ];
    let keys: std::collections::BTreeSet<String> = all.iter().map(Hold::key).collect();
    assert_eq!(keys.len(), all.len());
    let said: std::collections::BTreeSet<String> = all.iter().map(Hold::to_string).collect();
    assert_eq!(said.len(), all.len());
}
