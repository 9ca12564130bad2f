//! Branch rules: whether they keep the account out of tasks' branches or out of the merge, and whether what they ask for can come.

use super::{Forge, forge, sample_branch, waits_for_reviews};
use crate::clients::causes::{Cause, Diagnosis, What, diagnose};
use crate::clients::gitea::{Branch, Repo};
use crate::ctl::doctor::report::Report;
use orch_common::config::Project;
use orch_common::domain::checks::OWN_CONTEXT_PREFIX;
use orch_common::domain::decide::MergePolicy;

/// So many pull requests are asked whether their checks are known.
const LATEST: usize = 3;

pub async fn check(report: &Report, known: &Forge<'_>, project: &Project, repo: &Repo) {
    let (check, branch) = (format!("gitea.rules {}", project.repo), sample_branch(project));
    let asked = async {
        tokio::join!(
            known.client.branch(&project.repo, &project.default_branch),
            known.client.shut_out_by(&project.repo, &branch, repo.permissions.admin),
        )
    };
    let (base, shut_out) = report.during(&check, asked).await;
    let base = match base {
        Ok(Some(base)) => base,
        Ok(None) => {
            let found = format!("the repository has no branch {}", project.default_branch);
            return report.fail(check, found, "push that branch, or set the project's default_branch");
        }
        Err(error) => return report.failed(check, diagnose(&forge(What::Repo(&project.repo)), &error)),
    };
    let mut clean = true;
    match shut_out {
        Ok(None) => {}
        Ok(Some(rule)) => {
            clean = false;
            let words = format!("'{rule}' covers tasks' branches, such as {branch}");
            report.failed(&check, Diagnosis::of(&forge(What::Repo(&project.repo)), Cause::BranchRule, &words));
        }
        Err(error) => {
            clean = false;
            report.failed(&check, diagnose(&forge(What::Repo(&project.repo)), &error));
        }
    }
    if project.merge == MergePolicy::OnDeploy {
        clean &= merging(report, &check, known, project, (repo, &base)).await;
    }
    if clean {
        report.ok(check, "nothing keeps the account out of tasks' branches");
    }
}

/// Whether the orchestrator can merge; `false` = something was said.
async fn merging(
    report: &Report,
    check: &str,
    known: &Forge<'_>,
    project: &Project,
    (repo, base): (&Repo, &Branch),
) -> bool {
    let (name, rule) = (&project.default_branch, &base.rule);
    let contexts = rule.status_check_contexts.clone().unwrap_or_default();
    let mut clean = true;
    if !rule.user_can_merge {
        clean = false;
        let found = format!("merge = \"on_deploy\", and a rule of {name} does not let the account merge");
        report.fail(check, found, "add it to the rule's merge list (Settings > Branches), or set merge = \"never\"");
    }
    if rule.required_approvals > 0 && !waits_for_reviews(project) {
        clean = false;
        let found = format!(
            "{name} asks for {} approval(s), and no gate of the project waits for one",
            rule.required_approvals
        );
        let todo = "set review_gate = \"review_approved\", or lift the rule: else each merge waits for somebody who approves unasked";
        report.warn(check, found, todo);
    }
    let ours: Vec<&str> = contexts.iter().map(String::as_str).filter(|c| c.starts_with(OWN_CONTEXT_PREFIX)).collect();
    if !ours.is_empty() && rule.enable_status_check {
        clean = false;
        let found = format!("{name} asks for the check {}, which tells where a task is", ours.join(", "));
        report.warn(check, found, "name checks of the CI alone in the rule");
    }
    let others: Vec<&str> =
        contexts.iter().map(String::as_str).filter(|c| !c.starts_with(OWN_CONTEXT_PREFIX)).collect();
    if rule.enable_status_check && !others.is_empty() && !has_ci(known, project, base).await {
        clean = false;
        let found = format!("{name} asks for the check {}, and nothing there sets any", others.join(", "));
        report.warn(check, found, "set up the CI, or lift the rule: else no merge can happen");
    }
    if !repo.allowed.has(&repo.default_merge_style) {
        clean = false;
        let found = format!("the preferred merge style '{}' is not allowed there", repo.default_merge_style);
        report.fail(check, found, "allow it, or prefer another (Settings > Advanced settings > Pull requests)");
    }
    clean
}

/// Any trace of a CI: workflows of the repository, or statuses of others. What cannot be asked counts as one.
async fn has_ci(known: &Forge<'_>, project: &Project, base: &Branch) -> bool {
    let (client, repo) = (known.client, &project.repo);
    let stated = async |sha: &str| {
        let found = client.combined_status(repo, sha).await;
        found.map_or(true, |all| all.contexts.iter().any(|c| !c.context.starts_with(OWN_CONTEXT_PREFIX)))
    };
    if client.has_workflows(repo, &project.default_branch).await.unwrap_or(true) || stated(base.head()).await {
        return true;
    }
    let Ok(pulls) = client.latest_pulls(repo, LATEST).await else { return true };
    for pull in pulls {
        if stated(&pull.head.sha).await {
            return true;
        }
    }
    false
}
