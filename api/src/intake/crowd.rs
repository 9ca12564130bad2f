//! How many senders there seem to be at a time. Each has one delivery on its way and sends the next when it is answered, so
//! in a crowd it pays to wait a moment for those that are about to come: a commit costs about the same for one as for
//! many. Half of them, because the other half is on its way while a commit runs. Who comes alone never waits.

/// A guess that follows what is seen upwards at once, and downwards slowly. Pure.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    senders: usize,
}

/// Fewer are not waited for.
const FEW: usize = 4;

impl Crowd {
    /// A commit was for so many, and so many have come meanwhile.
    pub(super) fn was(&mut self, committed: usize, waiting: usize) {
        let waited_in_vain = self.worth_waiting_for().is_some_and(|enough| committed < enough);
        let before = if waited_in_vain { self.senders / 2 } else { self.senders - self.senders / 8 };
        self.senders = before.max(committed + waiting);
    }

    /// With so many it is worth while to commit; `None` = with whoever is there.
    pub(super) fn worth_waiting_for(&self) -> Option<usize> {
        Some(self.senders / 2).filter(|many| *many >= FEW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_never_waited_for() {
        let mut crowd = Crowd::default();
        for waiting in [0, 3, 6, 0, 6] {
            assert_eq!(crowd.worth_waiting_for(), None);
            crowd.was(1, waiting);
        }
    }

    #[test]
    fn half_of_a_crowd_is_waited_for_while_it_lasts() {
        let mut crowd = Crowd::default();
        crowd.was(20, 44);
        assert_eq!(crowd.worth_waiting_for(), Some(32));
        for _ in 0..100 {
            crowd.was(32, 30);
            assert!((31..=32).contains(&crowd.worth_waiting_for().unwrap()));
        }
    }

    #[test]
    fn a_crowd_that_is_gone_is_soon_forgotten() {
        let mut crowd = Crowd::default();
        crowd.was(64, 0);
        let in_vain = (0..10).take_while(|_| {
            let waits = crowd.worth_waiting_for().is_some();
            crowd.was(1, 0);
            waits
        });
        assert_eq!(in_vain.count(), 4);
    }
}
