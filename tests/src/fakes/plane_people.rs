//! What people do to comments and files of a work item, as Plane lets them.

use super::courier::Delivery;
use super::plane::{FakePlane, World};
use serde_json::json;
use uuid::Uuid;

impl FakePlane {
    /// `editor` changes the words of a comment of somebody else (which Plane allows).
    pub fn edit_comment_as(&self, editor: &str, item: &str, comment: &str, html: &str) -> Delivery {
        let mut world = self.world();
        world.edit_comment(item, comment, editor, html);
        self.courier.take(world.edited(item, comment, editor))
    }

    /// `author` comments, and `editor` changes it before Plane tells of the new comment: what is told has the author's
    /// name and the editor's words. Gives what Plane tells of the comment, and of the change.
    pub fn comment_put_in_mouth(&self, author: &str, editor: &str, item: &str, html: &str) -> [Delivery; 2] {
        let mut world = self.world();
        let comment = world.add_comment(item, author, "<p>Good morning</p>", None);
        world.edit_comment(item, &comment, editor, html);
        let told = [world.commented(item, &comment, author), world.edited(item, &comment, editor)];
        told.map(|delivery| self.courier.take(delivery))
    }

    /// Deleted without a word: Plane sends no webhook for it.
    pub fn delete_comment(&self, item: &str, comment: &str) {
        self.world().item_mut(item).comments.retain(|c| c.id != comment);
    }

    /// The human attaches a file; gives its id. Plane tells nobody.
    pub fn attach(&self, item: &str, name: &str) -> String {
        let id = Uuid::new_v4().to_string();
        let file = json!({ "id": id, "attributes": { "name": name, "type": "image/png", "size": 7 }, "asset": format!("a/{name}") });
        self.world().item_mut(item).attachments.push(file);
        id
    }
}

impl World {
    pub fn edit_comment(&mut self, item: &str, comment: &str, editor: &str, html: &str) {
        let now = self.tick();
        let row = self.item_mut(item).comments.iter_mut().find(|c| c.id == comment).unwrap();
        (row.html, row.updated_by, row.updated_ms) = (html.to_owned(), Some(editor.to_owned()), now);
    }
}
