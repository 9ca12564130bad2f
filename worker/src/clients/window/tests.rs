use super::*;
use std::collections::VecDeque;

/// The service: 60 calls in any 60 seconds, as it counts them.
#[derive(Default)]
struct Door(VecDeque<i64>);

impl Door {
    /// What is left after this call; `None` = refused.
    fn call(&mut self, now: i64) -> Option<usize> {
        while self.0.front().is_some_and(|at| *at <= now - 60_000) {
            self.0.pop_front();
        }
        (self.0.len() < 60).then(|| {
            self.0.push_back(now);
            60 - self.0.len()
        })
    }
}

fn taken(window: &mut Window, whom: For, now: i64) -> usize {
    (0..200).take_while(|_| window.take(whom, now).is_ok()).count()
}

#[test]
fn all_of_the_allowance_is_used_and_a_share_is_kept_for_people() {
    let mut window = Window::of_a_minute(60);
    assert_eq!(taken(&mut window, For::Background, 0), 20);
    assert_eq!(taken(&mut window, For::Work, 0), 20);
    assert_eq!(taken(&mut window, For::People, 0), 20);
    assert_eq!(window.take(For::People, 60_000).unwrap_err(), 250);
    assert_eq!(window.take(For::Work, 1_000).unwrap_err(), 59_250);
    assert_eq!(taken(&mut window, For::People, WINDOW_MS), 60);
}

#[test]
fn the_wait_of_a_share_is_until_enough_have_left() {
    let mut window = Window::of_a_minute(60);
    for second in 0..50 {
        window.take(For::People, second * 1000).unwrap();
    }
    // 50 are in the window: 11 must leave before there are less than 40.
    assert_eq!(window.take(For::Work, 50_000).unwrap_err(), 10_000 + WINDOW_MS - 50_000);
    assert!(window.take(For::Work, 10_000 + WINDOW_MS).is_ok());
}

#[test]
fn a_turn_counts_from_its_answer() {
    let mut window = Window::of_a_minute(1);
    let turn = window.take(For::People, 0).unwrap();
    window.answered(turn, None, 30_000);
    assert_eq!(window.take(For::People, WINDOW_MS).unwrap_err(), 30_000);
}

#[test]
fn what_the_service_says_is_left_is_the_truth() {
    let mut window = Window::of_a_minute(60);
    let turn = window.take(For::People, 0).unwrap();
    window.answered(turn, Some(9), 0);
    assert_eq!(taken(&mut window, For::People, 1_000), 9, "others had 50");
    assert_eq!(taken(&mut window, For::People, 2_000), 0);
    let mut window = Window::of_a_minute(60);
    let turn = window.take(For::People, 0).unwrap();
    window.answered(turn, Some(9), 0);
    let turn = window.take(For::People, 1_000).unwrap();
    window.answered(turn, Some(50), 1_000);
    assert_eq!(taken(&mut window, For::People, 1_000), 50, "those of others were older");
}

#[test]
fn workers_share_what_nobody_tells_of_and_use_all_that_is_told() {
    for (workers, untold, told) in [(1, 60, 60), (2, 30, 58), (3, 20, 56), (30, 2, 2), (100, 1, 1)] {
        let mut window = Window::of_a_minute(60);
        window.share_among(workers);
        assert_eq!(taken(&mut window, For::People, 0), untold, "{workers}");
        let mut window = Window::of_a_minute(60);
        window.share_among(workers);
        let turn = window.take(For::People, 0).unwrap();
        window.answered(turn, Some(59), 0);
        assert_eq!(1 + taken(&mut window, For::People, 0), told, "{workers}");
    }
}

/// Whatever is called when, the service never refuses one.
#[test]
fn no_minute_has_more_calls_than_the_service_takes() {
    let (mut window, mut door) = (Window::of_a_minute(60), Door::default());
    let mut random = 7_u64;
    let mut now = 0;
    for _ in 0..5_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        now += i64::try_from(random >> 33).unwrap() % 900;
        let whom = [For::People, For::Work, For::Background][usize::try_from(random >> 60).unwrap() % 3];
        if let Ok(turn) = window.take(whom, now) {
            // On its way for a while, and counted at any time in it.
            let counted = now + i64::try_from((random >> 20) % 100).unwrap();
            let left = door.call(counted).expect("refused");
            now = counted + 30;
            window.answered(turn, Some(left), now);
        }
    }
}

/// One call of a task's story.
#[derive(Clone, Copy, PartialEq)]
enum Call {
    /// A card's new state.
    State,
    /// A comment, a link, or an agent's reading.
    Other,
}

/// Five tasks at once against the door with the real limit, in virtual time: how late each state is shown, in ms. A task's steps follow each
/// other as fast as its agents work; its states and its other calls go their ways beside each other, each in order.
fn delays(agent_ms: i64) -> Vec<i64> {
    use Call::{Other, State};
    // What a step says, once it begins: the straight story of a task.
    let story: [&[Call]; 7] = [
        &[Other, State, Other],               // taken up: read, In Progress, comment
        &[State, Other],                      // In Review, approval wanted
        &[Other, Other, State, Other, Other], // approved: two reads, In Progress, two comments
        &[Other, Other],                      // development: comment, link
        &[State, Other],                      // review
        &[State, Other],                      // testing
        &[State, Other, Other],               // deploy, done
    ];
    let (mut window, mut door) = (Window::of_a_minute(60), Door::default());
    // When each call is wished, by task and kind.
    let mut wished: Vec<(i64, VecDeque<i64>, VecDeque<i64>)> = vec![(0, VecDeque::new(), VecDeque::new()); 5];
    for (n, (_, states, others)) in wished.iter_mut().enumerate() {
        for (step, calls) in story.iter().enumerate() {
            let at = i64::try_from(step).unwrap() * agent_ms + i64::try_from(n).unwrap() * 300;
            for call in *calls {
                if *call == State { states.push_back(at) } else { others.push_back(at) }
            }
        }
    }
    let mut late = Vec::new();
    for now in (0..20 * 60_000).step_by(50) {
        for (_, states, others) in &mut wished {
            for (queue, whom) in [(states, For::People), (others, For::Work)] {
                if queue.front().is_some_and(|at| *at <= now)
                    && let Ok(turn) = window.take(whom, now)
                {
                    window.answered(turn, Some(door.call(now).expect("refused")), now);
                    let at = queue.pop_front().unwrap();
                    late.extend((whom == For::People).then_some(now - at));
                }
            }
        }
    }
    assert!(wished.iter().all(|(_, states, others)| states.is_empty() && others.is_empty()), "all was said");
    late.sort_unstable();
    late
}

#[test]
fn the_states_of_five_tasks_at_once_are_shown_within_seconds() {
    for agent_ms in [500, 2_000, 5_000, 10_000, 30_000] {
        let late = delays(agent_ms);
        let median = late[late.len() / 2];
        assert!(median <= 15_000, "{agent_ms}: median {median}");
        assert!(*late.last().unwrap() <= 61_000, "{agent_ms}: {late:?}");
    }
}
