//! The forge's own CI: jobs of workflows, their statuses, deliveries and logs. The ids of the API are not the numbers
//! that people (and the links of statuses) see.

use super::FakeGitea;
use super::deliveries::Courier;
use super::rest::{Place, error, not_found};
use super::rights::{ACTIONS, Right};
use super::world::{StatusRow, World};
use crate::fakes::server::{Reply, Request};
use serde_json::{Value, json};

/// A job of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewActionJob {
    pub workflow: String,
    pub name: String,
    /// `push` or `pull_request`.
    pub event: String,
    pub sha: String,
    /// Empty for a run of a pull request.
    pub branch: String,
}

#[derive(Debug, Clone)]
pub(super) struct JobRow {
    pub id: i64,
    pub run_id: i64,
    /// What people see: the number of the run in the repository.
    pub run_number: i64,
    pub index: i64,
    pub new: NewActionJob,
    /// `queued in_progress completed`.
    pub status: &'static str,
    pub conclusion: Option<String>,
    pub log: Option<String>,
}

impl JobRow {
    fn context(&self) -> String {
        format!("{} / {} ({})", self.new.workflow, self.new.name, self.new.event)
    }

    fn page(&self, repo: &str) -> String {
        format!("/{}/{repo}/actions/runs/{}/jobs/{}", FakeGitea::OWNER, self.run_number, self.index)
    }

    /// The steps are told in deliveries alone.
    fn json(&self, url: &str, repo: &str, steps: bool) -> Value {
        let api = format!("{url}/api/v1/repos/{}/{repo}/actions", FakeGitea::OWNER);
        let step =
            json!([{ "name": "run the tests", "number": 0, "status": self.status, "conclusion": self.conclusion }]);
        let mut job = json!({
            "id": self.id, "url": format!("{api}/jobs/{}", self.id), "html_url": format!("{url}{}", self.page(repo)),
            "run_id": self.run_id, "run_url": format!("{api}/runs/{}", self.run_id), "name": self.new.name,
            "labels": ["ubuntu-latest"], "run_attempt": i64::from(self.status != "queued"), "head_sha": self.new.sha,
            "status": self.status, "steps": if steps { step } else { Value::Null },
        });
        if steps {
            job["head_branch"] = json!(self.new.branch);
        }
        if let Some(conclusion) = &self.conclusion {
            job["conclusion"] = json!(conclusion);
        }
        job
    }

    fn run_json(&self, url: &str, repo: &str) -> Value {
        let page = format!("{url}/{}/{repo}/actions/runs/{}", FakeGitea::OWNER, self.run_number);
        json!({
            "id": self.run_id, "html_url": page, "path": format!("{}.yml", self.new.workflow), "event": self.new.event,
            "run_number": self.run_number, "head_sha": self.new.sha, "head_branch": self.new.branch,
            "status": self.status, "conclusion": self.conclusion,
        })
    }
}

/// Below `/actions`: lists are the owner's alone, a single one is everybody's who may write.
pub(super) fn actions(world: &World, request: &Request, (repo, login): (&str, &str), rest: Place<'_>) -> Reply {
    let right = world.right(login);
    let jobs = &world.repos[repo].jobs;
    let by_id = |id: &str| jobs.iter().find(|job| job.id.to_string() == id);
    match (request.method.as_str(), rest) {
        ("GET", ["runs" | "jobs"]) if right < Right::Owner => error(403, "user should be the owner of the repo"),
        ("GET", ["runs"]) => {
            let runs: Vec<_> = jobs.iter().map(|job| job.run_json(&world.url, repo)).collect();
            Reply::json(200, json!({ "total_count": runs.len(), "workflow_runs": runs }))
        }
        ("GET", ["tasks"]) => {
            let tasks: Vec<_> = jobs.iter().map(|job| json!({ "id": job.id + 5000, "name": job.new.name })).collect();
            Reply::json(200, json!({ "total_count": tasks.len(), "workflow_runs": tasks }))
        }
        ("GET", ["runs", id]) => match jobs.iter().find(|job| job.run_id.to_string() == *id) {
            Some(job) => Reply::json(200, job.run_json(&world.url, repo)),
            None => not_found(),
        },
        ("GET", ["jobs", id]) => match by_id(id) {
            Some(job) => Reply::json(200, job.json(&world.url, repo, false)),
            None => not_found(),
        },
        ("GET", ["jobs", id, "logs"]) => match by_id(id).and_then(|job| job.log.clone()) {
            Some(log) => part_of(&log, request.header("range")),
            None => not_found(),
        },
        _ => not_found(),
    }
}

/// The whole text, or its end where the request asks for that.
fn part_of(log: &str, range: Option<&str>) -> Reply {
    let last = range.and_then(|r| r.strip_prefix("bytes=-")).and_then(|n| n.parse::<usize>().ok());
    let text = |status: u16, bytes: &[u8]| Reply {
        status,
        headers: vec![("content-type", "text/plain; charset=utf-8".to_owned())],
        body: bytes.to_vec(),
    };
    let bytes = log.as_bytes();
    match last {
        Some(last) if last < bytes.len() => {
            let from = bytes.len() - last;
            let tail = bytes.get(from..).unwrap_or_default();
            text(206, tail).with("content-range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))
        }
        Some(_) => text(206, bytes).with("content-range", format!("bytes 0-{}/{}", bytes.len() - 1, bytes.len())),
        None => text(200, bytes),
    }
}

impl World {
    /// A run of its own.
    fn register(&mut self, repo: &str, new: NewActionJob) -> i64 {
        let (id, run_id) = (self.next_id(), self.next_id() + 700);
        let run_number = i64::try_from(self.repos[repo].jobs.len()).unwrap() + 1;
        let row = JobRow { id, run_id, run_number, index: 0, new, status: "queued", conclusion: None, log: None };
        self.repo(repo).jobs.push(row);
        id
    }

    fn job_says(&mut self, courier: &Courier, repo: &str, id: i64, (state, words): (&str, &str)) {
        let job = self.repos[repo].jobs.iter().find(|job| job.id == id).unwrap();
        let status = StatusRow {
            sha: job.new.sha.clone(),
            context: job.context(),
            state: state.to_owned(),
            description: words.to_owned(),
            target_url: job.page(repo),
            ..StatusRow::default()
        };
        self.say(courier, repo, status, ACTIONS);
    }

    fn tell_job(&self, courier: &Courier, repo: &str, id: i64, kind: &str) {
        if self.forgejo {
            return;
        }
        let job = self.repos[repo].jobs.iter().find(|job| job.id == id).unwrap();
        let (job, run) = (job.json(&self.url, repo, true), job.run_json(&self.url, repo));
        let body = match kind {
            "workflow_job" => json!({ "action": job["status"], "workflow_job": job }),
            _ if job["status"] == "queued" => json!({ "action": "requested", "workflow_run": run }),
            _ => json!({ "action": job["status"], "workflow_run": run }),
        };
        courier.take(self.delivery(body, repo, "hugo", (kind, kind)));
    }
}

impl FakeGitea {
    /// A job of a run of its own is registered, and waits for a runner. Gives its id. Deliveries come in the order of a quick job:
    /// that it has begun may be told before that it waits.
    pub fn job_waits(&self, repo: &str, new: NewActionJob) -> i64 {
        let mut world = self.world();
        let id = world.register(repo, new);
        world.job_says(self.courier(), repo, id, ("pending", "Waiting to run"));
        world.tell_job(self.courier(), repo, id, "workflow_run");
        world.tell_job(self.courier(), repo, id, "workflow_job");
        id
    }

    /// A job that is over at once: that it has begun is told before that it waits.
    pub fn quick_job(&self, repo: &str, new: NewActionJob, conclusion: &str, log: &str) -> i64 {
        let id = {
            let mut world = self.world();
            let id = world.register(repo, new);
            world.job_says(self.courier(), repo, id, ("pending", "Waiting to run"));
            world.tell_job(self.courier(), repo, id, "workflow_run");
            for status in ["in_progress", "queued"] {
                world.repo(repo).jobs.iter_mut().filter(|job| job.id == id).for_each(|job| job.status = status);
                world.tell_job(self.courier(), repo, id, "workflow_job");
            }
            id
        };
        self.job_ends(repo, id, conclusion, log);
        id
    }

    pub fn job_begins(&self, repo: &str, id: i64) {
        let mut world = self.world();
        world.repo(repo).jobs.iter_mut().filter(|job| job.id == id).for_each(|job| job.status = "in_progress");
        world.tell_job(self.courier(), repo, id, "workflow_job");
        world.job_says(self.courier(), repo, id, ("pending", "Has started running"));
    }

    /// `conclusion`: `success failure cancelled skipped`.
    pub fn job_ends(&self, repo: &str, id: i64, conclusion: &str, log: &str) {
        let mut world = self.world();
        for job in world.repo(repo).jobs.iter_mut().filter(|job| job.id == id) {
            (job.status, job.conclusion) = ("completed", Some(conclusion.to_owned()));
            job.log = (!log.is_empty()).then(|| log.to_owned());
        }
        // A cancelled job is a failure in all but its words.
        let said = match conclusion {
            "success" => ("success", "Successful in 3s"),
            "skipped" => ("skipped", "Has been skipped"),
            "cancelled" => ("failure", "Has been cancelled"),
            _ => ("failure", "Failing after 3s"),
        };
        world.job_says(self.courier(), repo, id, said);
        world.tell_job(self.courier(), repo, id, "workflow_job");
        world.tell_job(self.courier(), repo, id, "workflow_run");
    }
}
