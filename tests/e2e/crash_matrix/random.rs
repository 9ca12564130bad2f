//! Rounds at random places and times; the seed is printed and can be given.

use super::checks::all_is_well;
use super::points::play_all;
use super::round::{Case, Round, Shot, Victim};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orch_common::failpoint::Point;
use orch_tests::stack::{Stack, WORKER, run_folders};
use orch_worker::agent::RunDir;
use std::sync::Mutex;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 100;
/// The variable that says how many instead.
const HOW_MANY: &str = "ORCH_TEST_ROUNDS";
/// No round is begun after this for each.
const LONGEST: Duration = Duration::from_secs(15);
/// The variable that repeats a seed.
const SEED: &str = "ORCH_TEST_SEED";

/// SplitMix64: the same seed, the same rounds.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn shot(&mut self) -> Shot {
        let txn = [Point::TxnBegin, Point::TxnInside, Point::TxnCommitted];
        let number = |dice: &mut Dice, n| u32::try_from(dice.below(n)).unwrap() + 1;
        match self.below(10) {
            0..=3 => Shot::at(txn[usize::try_from(self.below(3)).unwrap()], number(self, 60)),
            4 => {
                Shot { victim: Victim::Api, ..Shot::at(txn[usize::try_from(self.below(3)).unwrap()], number(self, 6)) }
            }
            5 => Shot { action: "error", ..Shot::at(Point::TxnBegin, number(self, 60)) },
            6 => Shot { action: "panic", ..Shot::at(Point::EffectSent, number(self, 12)) },
            _ => {
                let n = usize::try_from(self.below(u64::try_from(Point::ALL.len()).unwrap())).unwrap();
                Shot::at(Point::ALL[n], number(self, 2))
            }
        }
    }
}

/// Kills that come by the clock: of a worker, of a supervisor, of everything at once.
fn strike(stack: &mut Stack, which: u64) {
    let open: Vec<RunDir> =
        run_folders(&stack.scene.runs).into_iter().map(RunDir::at).filter(|d| !d.has_exit()).collect();
    let end = |identity: Option<orch_worker::agent::Identity>| {
        if let Some(identity) = identity.filter(orch_worker::agent::Identity::is_alive) {
            // It may be gone by now.
            let _ = kill(Pid::from_raw(identity.pid), Signal::SIGKILL);
        }
    };
    if which != 1 && stack.worker_runs(WORKER) {
        let pid = i32::try_from(stack.worker(WORKER).pid()).unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    if which != 0 {
        for dir in open {
            end(dir.read_supervisor().ok().flatten());
            end(dir.read_agent().ok().flatten());
        }
    }
}

fn at_random(case: Case, seed: u64) {
    let mut dice = Dice(seed);
    let mut strikes: Vec<(Duration, u64)> =
        (0..dice.below(3)).map(|_| (Duration::from_millis(dice.below(5000)), dice.below(3))).collect();
    let (shots, struck) = (case.shots.len(), strikes.len());
    let lossy = strikes.iter().filter(|(_, which)| *which != 0).count();
    let starts = 1 + case.shots.iter().filter(|s| s.may_cost_a_start()).count() + lossy;
    let round = Round::begin(case).play(|round| {
        let now = round.since_begin();
        while let Some(at) = strikes.iter().position(|(at, _)| *at <= now) {
            let (_, which) = strikes.swap_remove(at);
            strike(&mut round.stack, which);
        }
    });
    all_is_well(&round, starts, shots + struck);
}

#[test]
#[ignore = "minutes; `make test-long` runs it"]
fn killed_at_random() {
    let since = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let seed = std::env::var(SEED).ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| since() as u64 % 1_000_000_007);
    println!("{SEED}={seed}");
    let rounds = std::env::var(HOW_MANY).ok().map_or(ROUNDS, |n| n.parse().unwrap());
    let mut dice = Dice(seed);
    let cases: Vec<Case> = (0..rounds)
        .map(|_| {
            let shots: Vec<Shot> = (0..1 + dice.below(3)).map(|_| dice.shot()).collect();
            Case::of(&shots)
        })
        .collect();
    let begun = Instant::now();
    let seeds = Mutex::new(dice);
    let played = Mutex::new(0_usize);
    play_all(cases, |case| {
        if begun.elapsed() < LONGEST * rounds {
            let seed = seeds.lock().unwrap().next();
            at_random(case, seed);
            *played.lock().unwrap() += 1;
        }
    });
    println!("{} of {rounds} rounds in {:?}", played.lock().unwrap(), begun.elapsed());
}
