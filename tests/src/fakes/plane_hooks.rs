//! Plane's webhook deliveries: a recorded body of the same kind, with this world's values in it, written and signed
//! the way Plane does.

use super::courier::{Delivery, sign};
use super::plane::{FakePlane, World};
use super::{fixture, fixture_json, rfc3339};
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Serializer, Value, json};
use std::io::{self, Write};
use uuid::Uuid;

impl World {
    pub(super) fn created(&self, item: &str, actor: &str) -> Delivery {
        let body = self.about_item("101-issue-created", item);
        delivery(body, actor)
    }

    /// `field` as the caller's interface names it: `state` by the API, `state_id` by the UI.
    pub(super) fn changed(&self, item: &str, field: &str, values: (Value, Value), actor: &str) -> Delivery {
        let mut body = self.about_item("102-issue-updated", item);
        body["activity"]["field"] = json!(field);
        (body["activity"]["old_value"], body["activity"]["new_value"]) = values;
        delivery(body, actor)
    }

    pub(super) fn commented(&self, item: &str, comment: &str, actor: &str) -> Delivery {
        delivery(self.about_comment("111-issue_comment-created", item, comment), actor)
    }

    pub(super) fn edited(&self, item: &str, comment: &str, actor: &str) -> Delivery {
        let mut body = self.about_comment("112-issue_comment-updated", item, comment);
        body["activity"]["new_value"] = body["data"]["comment_html"].clone();
        delivery(body, actor)
    }

    fn about_item(&self, template: &str, item: &str) -> Value {
        let mut body = recorded(template);
        let row = &self.items[item];
        let state = self.states[&row.project].iter().find(|s| s.id == row.state).unwrap();
        let labels = self.labels.get(&row.project).into_iter().flatten().filter(|(id, _)| row.labels.contains(id));
        let data = &mut body["data"];
        data["id"] = json!(row.id);
        data["name"] = json!(row.title);
        data["description_html"] = json!(row.html);
        data["sequence_id"] = json!(row.sequence);
        data["project"] = json!(row.project);
        data["state"] = json!({ "id": state.id, "name": state.name, "color": "#F59E0B", "group": state.group });
        data["labels"] = labels.map(|(id, name)| json!({ "id": id, "name": name, "color": "#000000" })).collect();
        data["created_by"] = json!(row.created_by);
        data["updated_by"] = json!(row.updated_by);
        data["created_at"] = json!(rfc3339(row.created_ms));
        data["updated_at"] = json!(rfc3339(row.updated_ms));
        body
    }

    fn about_comment(&self, template: &str, item: &str, comment: &str) -> Value {
        let mut body = recorded(template);
        let row = &self.items[item];
        let said = row.comments.iter().find(|c| c.id == comment).unwrap();
        let data = &mut body["data"];
        data["id"] = json!(said.id);
        data["comment_html"] = json!(said.html);
        data["issue"] = json!(row.id);
        data["project"] = json!(row.project);
        data["actor"] = json!(said.actor);
        data["created_by"] = json!(said.actor);
        // The data is what is there when Plane sends, whoever wrote it.
        data["updated_by"] = json!(said.updated_by);
        data["external_source"] = json!(said.external_source);
        data["external_id"] = json!(said.external_id);
        data["created_at"] = json!(rfc3339(said.created_ms));
        data["updated_at"] = json!(rfc3339(said.updated_ms));
        body
    }
}

/// As releases before v0.27 said it: the item's id and nothing else.
pub(super) fn deleted(item: &str, actor: &str) -> Delivery {
    let mut body = fixture_json("plane/issue_deleted_legacy.json");
    body["workspace_id"] = json!(FakePlane::WORKSPACE_ID);
    body["data"]["id"] = json!(item);
    delivery(body, actor)
}

fn recorded(name: &str) -> Value {
    let text = std::fs::read(fixture(&format!("plane-real/{name}.body"))).unwrap();
    let mut body: Value = serde_json::from_slice(&text).unwrap();
    body["workspace_id"] = json!(FakePlane::WORKSPACE_ID);
    body["data"]["workspace"] = json!(FakePlane::WORKSPACE_ID);
    body
}

fn delivery(mut body: Value, actor: &str) -> Delivery {
    body["activity"]["actor"]["id"] = json!(actor);
    let event = body["event"].as_str().unwrap().to_owned();
    let body = python_json(&body);
    let headers = [
        ("User-Agent", "Autopilot".to_owned()),
        ("Accept", "*/*".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("X-Plane-Delivery", Uuid::new_v4().to_string()),
        ("X-Plane-Event", event),
        ("X-Plane-Signature", sign(FakePlane::WEBHOOK_SECRET, &body)),
    ];
    Delivery { headers: headers.map(|(n, v)| (n.to_owned(), v)).to_vec(), body }
}

/// As Python's `json.dumps` writes it: blanks after `,` and `:`, nothing beyond ASCII.
fn python_json(value: &Value) -> String {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, Python)).unwrap();
    String::from_utf8(out).unwrap()
}

struct Python;

impl Formatter for Python {
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        for c in text.chars() {
            if c.is_ascii() {
                out.write_all(&[c as u8])?;
            } else {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_written_as_plane_writes_them() {
        let value = json!({ "a": ["é", 1, null], "b": "🚀\"" });
        assert_eq!(python_json(&value), r#"{"a": ["\u00e9", 1, null], "b": "\ud83d\ude80\""}"#);
    }

    #[test]
    fn a_delivery_carries_its_signature() {
        let plane = FakePlane::start();
        let (item, created) = plane.create_item("Title é", "<p>x</p>", &["auto"]);
        let said = plane.comment(&item, "<p>:approved:</p>");
        for delivery in [&created, &said] {
            assert_eq!(
                delivery.header("x-plane-signature"),
                Some(sign(FakePlane::WEBHOOK_SECRET, &delivery.body).as_str())
            );
        }
        assert_eq!(said.header("X-Plane-Event"), Some("issue_comment"));
        assert!(created.body.contains(r#""name": "Title \u00e9""#) && created.body.contains(r#""name": "auto""#));
        assert_eq!(plane.deliveries().len(), 2);
    }
}
