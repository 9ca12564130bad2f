//! What people do to comments and files of a work item, as Plane lets them.

use super::courier::Delivery;
use super::plane::{FakePlane, World};
use super::server::{Reply, Request};
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
    pub fn attach(&self, item: &str, name: &str, kind: &str, bytes: &[u8]) -> String {
        let id = self.store_file(kind, bytes);
        let about = json!({ "name": name, "type": kind, "size": bytes.len() });
        let file = json!({ "id": id, "attributes": about, "asset": format!("a/{name}"), "is_uploaded": true });
        self.world().item_mut(item).attachments.push(file);
        id
    }

    /// A file of the project, as the editor stores a picture of a text; gives its id.
    pub fn store_file(&self, kind: &str, bytes: &[u8]) -> String {
        self.store_file_as(&Uuid::new_v4().to_string(), kind, bytes)
    }

    /// The same under an id that the test knows.
    pub fn store_file_as(&self, id: &str, kind: &str, bytes: &[u8]) -> String {
        self.world().files.insert(id.to_owned(), (kind.to_owned(), bytes.to_owned()));
        id.to_owned()
    }

    /// Files lie in a storage of another address from now on, not behind Plane's own.
    pub fn store_at(&self, url: &str) {
        self.world().storage = Some(url.to_owned());
    }
}

impl World {
    pub fn edit_comment(&mut self, item: &str, comment: &str, editor: &str, html: &str) {
        let now = self.tick();
        let row = self.item_mut(item).comments.iter_mut().find(|c| c.id == comment).unwrap();
        (row.html, row.updated_by, row.updated_ms) = (html.to_owned(), Some(editor.to_owned()), now);
    }
}

/// What every address of a file ends with; the real one is different each time, and good for an hour.
const SIGNED: &str = "X-Amz-Expires=3600&X-Amz-Signature=0f1e";

/// The address that Plane sends whoever asks for a file to.
pub(super) fn address_of(world: &World, id: &str, own: &str) -> Option<String> {
    let storage = world.storage.as_deref().unwrap_or(own);
    world.files.contains_key(id).then(|| format!("{storage}/uploads/{id}?{SIGNED}"))
}

pub(super) fn stored(world: &World, request: &Request) -> Reply {
    let signed = request.query("X-Amz-Signature") == Some("0f1e");
    let file = request.segments().get(1).and_then(|id| world.files.get(*id)).filter(|_| signed);
    match file {
        Some((kind, bytes)) => {
            Reply { status: 200, headers: vec![("content-type", kind.clone())], body: bytes.clone() }
        }
        None => {
            Reply { status: 403, headers: vec![("content-type", "application/xml".into())], body: b"<Error/>".to_vec() }
        }
    }
}
