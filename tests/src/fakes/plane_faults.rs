//! What goes wrong at a Plane, and what it does not tell: bad answers, slow inserts, a workflow, an archive.

use super::plane::FakePlane;
use super::server::Fault;
use std::time::Duration;

impl FakePlane {
    /// The next `times` requests, whatever they are, meet `fault`.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.server.fail("", "", times, fault);
    }

    /// The next `times` requests of `method` (empty: any) whose path contains `part` meet `fault`.
    pub fn fail_when(&self, method: &str, part: &str, times: usize, fault: Fault) {
        self.server.fail(method, part, times, fault);
    }

    /// No request meets a fault that was planned.
    pub fn heal(&self) {
        self.server.heal();
    }

    /// Every request meets `fault` from now on; `None`: no longer.
    pub fn fall_ill(&self, fault: Option<Fault>) {
        self.server.fall_ill(fault);
    }

    /// Archived in the interface: it is in no list, and not to be had by its id; its thread is. Plane tells nobody.
    pub fn archive_item(&self, item: &str) {
        let mut world = self.world();
        let now = world.tick();
        world.item_mut(item).archived_ms = Some(now);
    }

    /// A create looks for what is there, and inserts so much later: two at a time make two.
    pub fn insert_slowly(&self, pause: Duration) {
        self.world().insert_pause = pause;
    }

    /// What a create of the bot began that nobody waited for any more is there now, whatever was made meanwhile.
    pub fn appears_late(&self, item: &str, external_id: &str, html: &str) {
        let external = Some(("orch".to_owned(), external_id.to_owned()));
        self.world().add_comment(item, Self::BOT, html, external);
    }

    /// The project's workflow takes no move of a card.
    pub fn refuse_moves(&self, refuses: bool) {
        self.world().refuses_moves = refuses;
    }
}
