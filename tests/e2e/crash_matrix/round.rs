//! One walk of a work item through a short pipeline, with processes that end where they are told to. Whoever ended is
//! started again, as a service manager would.

use super::checks::nobody_waits_for_nothing;
use orch_common::domain::stage::{Role, Stage, TaskState};
use orch_common::failpoint::{ARM, Point, TRACE};
use orch_tests::stack::play::{analyses, develops, first};
use orch_tests::stack::{Builder, Play, Stack, WORKER};
use orch_worker::ctl::scripted::Deed;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a round may take, with all its restarts.
const LIMIT: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(40);

/// Whose process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Api,
    Worker,
    Supervisor,
}

/// One armed point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    pub victim: Victim,
    pub point: Point,
    /// At which of its hits in one process.
    pub hit: u32,
    /// `kill`, `panic` or `error`.
    pub action: &'static str,
}

impl Shot {
    /// A kill of the program that the point is in.
    pub fn at(point: Point, hit: u32) -> Shot {
        let victim = match point.as_str().split('-').next() {
            Some("intake") => Victim::Api,
            Some("supervise") => Victim::Supervisor,
            _ => Victim::Worker,
        };
        Shot { victim, point, hit, action: "kill" }
    }

    /// The agent may have been at work when its run was lost: it then starts once more.
    pub fn may_cost_a_start(&self) -> bool {
        self.victim == Victim::Supervisor
    }
}

impl fmt::Display for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?} at {} no. {}", self.action, self.victim, self.point, self.hit)
    }
}

/// What is to happen in a round.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub shots: Vec<Shot>,
    /// Seconds between two rounds of the reconciler, where it is to run at all.
    pub reconcile_s: Option<i64>,
    /// Plane answers this many posts of comments with 503.
    pub plane_fails: usize,
    /// A second worker that takes over what the first leaves; the first is then not started again.
    pub second_worker: bool,
}

impl Case {
    pub fn of(shots: &[Shot]) -> Case {
        Case { shots: shots.to_vec(), ..Case::default() }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shots: Vec<String> = self.shots.iter().map(Shot::to_string).collect();
        write!(f, "{}", shots.join(", then "))
    }
}

/// A round in play.
pub struct Round {
    pub stack: Stack,
    pub item: String,
    case: Case,
    begun: Instant,
}

/// Two agents, nobody to be asked.
pub fn short_pipeline() -> Builder {
    let steps = toml::toml! {
        steps = [
            { stage = "created", role = "analyst" },
            { stage = "analysis", gate = "analysis_complete", role = "developer" },
            { stage = "development", gate = "tests_local" },
        ]
    };
    Stack::builder().without_worker().with_telegram().project("pipeline", steps["steps"].clone())
}

/// Agents that work a moment each, and notice when another is at work.
pub fn short_play(stack: &Stack) -> Play {
    let (alone, overlap) = (stack.signal("alone"), stack.signal("overlap"));
    let line = format!("exec 9>>'{}'; flock -n 9 || echo x >> '{}'; sleep 0.15", alone.display(), overlap.display());
    let work = Deed::Shell(line);
    Play::default()
        .role(Role::Analyst, [first(work.clone(), analyses())])
        .role(Role::Developer, [first(work, develops("done"))])
}

impl Round {
    /// Plane takes every comment at once.
    pub fn plane_answers(&self) -> bool {
        self.case.plane_fails == 0
    }

    /// Everything is there and the work item has come.
    pub fn begin(case: Case) -> Round {
        let mut stack = short_pipeline()
            .set("worker.reconcile_s", case.reconcile_s.unwrap_or(3600))
            .set("worker.heartbeat_dead_s", if case.second_worker { 2 } else { 30 })
            .start();
        stack.change_play(&short_play(&stack));
        // It is made anew when it is wanted.
        stack.plane().remove_state("Done");
        if case.plane_fails > 0 {
            let fault = orch_tests::fakes::Fault::status(503);
            stack.plane().fail_when("POST", "/comments/", case.plane_fails, fault);
        }
        if case.shots.iter().any(|s| s.victim == Victim::Api) {
            stack.kill_api();
            let armed = arming(&stack, &case, true);
            stack.start_api_with(&[(ARM, &armed)]);
        }
        let mut round = Round { stack, item: String::new(), case, begun: Instant::now() };
        round.start_worker(WORKER);
        if round.case.second_worker {
            round.start_worker("w2");
        }
        round.item = round.stack.plane().create_item("Login", "<p>Please.</p>", &[]).0;
        round
    }

    /// Every shot's process has ended there, or failed there.
    pub fn all_fired(&self) -> bool {
        (0..self.case.shots.len()).all(|n| token(&self.stack, n).exists())
    }

    /// To the end of the task, whatever ends on the way. `disturb` is asked between two looks.
    pub fn play(mut self, mut disturb: impl FnMut(&mut Round)) -> Round {
        loop {
            disturb(&mut self);
            nobody_waits_for_nothing(&self.stack);
            self.tend();
            if self.is_over() {
                return self;
            }
            assert!(self.begun.elapsed() < LIMIT, "{}: not done in {LIMIT:?}", self.case);
            std::thread::sleep(LOOK);
        }
    }

    pub fn since_begin(&self) -> Duration {
        self.begun.elapsed()
    }

    fn is_over(&self) -> bool {
        let done = |t: &orch_common::store::tasks::Task| t.stage == Stage::Done && t.state == TaskState::Done;
        self.stack.task(&self.item).is_some_and(|t| done(&t)) && self.stack.is_settled()
    }

    /// Starts again what has ended.
    fn tend(&mut self) {
        if !self.stack.api_runs() {
            self.stack.kill_api();
            self.stack.start_api();
            // Plane sends again what it got no answer to.
            let url = format!("{}/webhook/plane", self.stack.api_url().expect("it listens"));
            for delivery in self.stack.plane().deliveries() {
                delivery.post(&url);
            }
        }
        let names: &[&str] = if self.case.second_worker { &["w2"] } else { &[WORKER] };
        for name in names {
            if !self.stack.worker_runs(name) {
                self.stack.kill_worker(name);
                self.start_worker(name);
            }
        }
    }

    /// The same shots are armed again; those that were fired have their tokens.
    fn start_worker(&mut self, name: &str) {
        let armed = arming(&self.stack, &self.case, false);
        let trace = trace(&self.stack);
        self.stack.start_worker_with(name, &[(ARM, &armed), (TRACE, &trace.to_string_lossy())]);
    }
}

/// Where the hits of the worker and its supervisors are noted.
pub fn trace(stack: &Stack) -> PathBuf {
    stack.signal("trace")
}

fn token(stack: &Stack, n: usize) -> PathBuf {
    stack.signal(&format!("shot-{n}"))
}

fn arming(stack: &Stack, case: &Case, api: bool) -> String {
    let shots = case.shots.iter().enumerate().filter(|(_, shot)| (shot.victim == Victim::Api) == api);
    let wish = |(n, shot): (usize, &Shot)| {
        format!("{}:{}:{}:{}", shot.point, shot.hit, shot.action, token(stack, n).display())
    };
    shots.map(wish).collect::<Vec<_>>().join(";")
}
