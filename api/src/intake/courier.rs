//! Outcomes on their way back. A request waits on the thread that reads its connection, and to wake another thread costs
//! more than to answer; so the writer hands all outcomes for one thread over at once, and a task there tells each request
//! its own.

use super::{Item, Outcome};
use std::cell::RefCell;
use tokio::sync::mpsc;

/// A delivery goes back whole: its memory is given back on the thread that took it.
type Answer = (Item, Outcome);

/// The way to the requests of one thread.
#[derive(Clone)]
pub(super) struct Courier(mpsc::UnboundedSender<Vec<Answer>>);

thread_local! {
    static HERE: RefCell<Option<Courier>> = const { RefCell::new(None) };
}

impl Courier {
    /// The one of this thread. Call it within a runtime.
    pub(super) fn here() -> Courier {
        HERE.with_borrow_mut(|here| match here {
            Some(courier) if !courier.0.is_closed() => courier.clone(),
            Some(_) | None => here.insert(Courier::start()).clone(),
        })
    }

    /// Ends when nobody has it any more, or with the runtime.
    fn start() -> Courier {
        let (courier, mut bags) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(bag) = bags.recv().await {
                tell(bag);
            }
        });
        Courier(courier)
    }
}

/// A sender that is gone does not hear it.
fn tell(bag: Vec<Answer>) {
    for (item, outcome) in bag {
        let _gone = item.answer.send(outcome);
    }
}

/// Outcomes, sorted by where they go.
#[derive(Default)]
pub(super) struct Bags(Vec<(Courier, Vec<Answer>)>);

impl Bags {
    pub(super) fn add(&mut self, item: Item, outcome: Outcome) {
        // There are as many as HTTP threads.
        match self.0.iter_mut().find(|(known, _)| known.0.same_channel(&item.courier.0)) {
            Some((_, bag)) => bag.push((item, outcome)),
            None => self.0.push((item.courier.clone(), vec![(item, outcome)])),
        }
    }

    pub(super) fn send(self) {
        for (courier, bag) in self.0 {
            // Its runtime has ended, and with it, as a rule, who waits.
            if let Err(mpsc::error::SendError(bag)) = courier.0.send(bag) {
                tell(bag);
            }
        }
    }
}
