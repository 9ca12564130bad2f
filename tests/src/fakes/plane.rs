//! A Plane with one workspace: projects, states, labels, work items, comments, links. People act through methods
//! here; a client acts through the REST API in `plane_rest`. Both leave webhook deliveries.

use super::courier::{Courier, Delivery};
use super::plane_hooks::deleted;
use super::plane_rest;
use super::server::{Request, Server};
use super::{now_ms, rfc3339};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A Plane server.
pub struct FakePlane {
    pub(super) server: Server,
    pub(super) world: Arc<Mutex<World>>,
    pub(super) courier: Arc<Courier>,
}

/// Everything the server knows.
pub(super) struct World {
    pub states: BTreeMap<String, Vec<StateRow>>,
    pub labels: BTreeMap<String, Vec<(String, String)>>,
    pub items: BTreeMap<String, ItemRow>,
    /// Kind and bytes of every file, by its id.
    pub files: BTreeMap<String, (String, Vec<u8>)>,
    /// Where files lie; `None`: behind Plane's own address.
    pub storage: Option<String>,
    /// Calls a minute and token; `None`: no limit.
    pub limit: Option<usize>,
    pub calls: VecDeque<Instant>,
    /// Before v1.1 the route `work-items` was not there.
    pub old_routes: bool,
    /// 20 admin, 15 member, 5 guest.
    pub bot_role: i32,
    pub bot_role_in_project: i32,
    /// Between the look for an `external_id` or a URL and the insert.
    pub insert_pause: Duration,
    /// What is inserted now was looked for before.
    pub blind: bool,
    /// Moves that the project's workflow refuses: all, to any state.
    pub refuses_moves: bool,
    next_sequence: i64,
    last_ms: i64,
}

#[derive(Clone)]
pub(super) struct StateRow {
    pub id: String,
    pub name: String,
    pub group: String,
}

#[derive(Clone)]
pub(super) struct ItemRow {
    pub id: String,
    pub project: String,
    pub sequence: i64,
    pub title: String,
    pub html: String,
    pub state: String,
    pub labels: Vec<String>,
    pub comments: Vec<CommentView>,
    pub links: Vec<LinkView>,
    pub attachments: Vec<Value>,
    pub activities: Vec<Value>,
    pub archived_ms: Option<i64>,
    pub created_by: String,
    pub updated_by: String,
    pub created_ms: i64,
    pub updated_ms: i64,
}

/// A comment as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommentView {
    pub id: String,
    pub html: String,
    /// User id.
    pub actor: String,
    /// Who changed it last.
    pub updated_by: Option<String>,
    pub external_source: Option<String>,
    pub external_id: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

/// A link of a work item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    pub id: String,
    pub url: String,
    pub title: String,
    pub created_ms: i64,
}

/// A work item for a test to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemView {
    pub id: String,
    pub sequence: i64,
    pub title: String,
    /// The state's name.
    pub state: String,
    pub comments: Vec<CommentView>,
    pub links: Vec<LinkView>,
}

impl FakePlane {
    pub const WORKSPACE: &'static str = "acme";
    pub const WORKSPACE_ID: &'static str = "2a2240af-d379-4da8-8526-96fda1b13275";
    /// The project that is there from the start; its identifier is `ET`.
    pub const PROJECT: &'static str = "2fdcb802-fa20-4631-af76-0e9ed39ecfb9";
    pub const TOKEN: &'static str = "plane_api_fake_bot_token";
    pub const BOT: &'static str = "a51d0e41-0f6a-46ac-8af4-acf97e0a5fe1";
    pub const HUMAN: &'static str = "720e815e-9379-4dfb-aba4-82b657ac208c";
    pub const ADMIN: &'static str = "99db7b9c-7251-401e-b636-e3e6bca1d53e";
    pub const WEBHOOK_SECRET: &'static str = "plane_wh_0123456789abcdef0123456789abcdef";

    pub fn start() -> Self {
        let world = Arc::new(Mutex::new(World::new()));
        let courier = Arc::new(Courier::default());
        let (shared, carrier) = (Arc::clone(&world), Arc::clone(&courier));
        let server = Server::start(move |r| plane_rest::serve(&shared, &carrier, r));
        FakePlane { server, world, courier }
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }

    pub fn forget_requests(&self) {
        self.server.forget_requests();
    }

    pub fn wait_for(&self, limit: Duration, enough: impl Fn(&[Request]) -> bool) -> bool {
        self.server.wait_for(limit, enough)
    }

    pub fn webhook_to(&self, url: &str) {
        self.courier.send_to(url);
    }

    /// Every delivery so far, the echoes of REST writes included.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.courier.made()
    }

    /// What the receiver answered to each posted delivery.
    pub fn delivery_answers(&self) -> Vec<Option<u16>> {
        self.courier.answers()
    }

    /// A work item by the human, in the project's first state; gives its id.
    pub fn create_item(&self, title: &str, html: &str, labels: &[&str]) -> (String, Delivery) {
        let mut world = self.world();
        let item = world.add_item(Self::PROJECT, title, html, Self::HUMAN);
        let ids = labels.iter().map(|name| world.label_id(Self::PROJECT, name)).collect();
        world.item_mut(&item).labels = ids;
        (item.clone(), self.courier.take(world.created(&item, Self::HUMAN)))
    }

    /// A comment by the human.
    pub fn comment(&self, item: &str, html: &str) -> Delivery {
        self.comment_as(Self::HUMAN, item, html)
    }

    pub fn comment_as(&self, user: &str, item: &str, html: &str) -> Delivery {
        let mut world = self.world();
        let comment = world.add_comment(item, user, html, None);
        self.courier.take(world.commented(item, &comment, user))
    }

    /// A comment by `writer`, who claims that `author` wrote it (Plane's API lets `created_by` be given).
    pub fn comment_forged(&self, writer: &str, author: &str, item: &str, html: &str) -> Delivery {
        let mut world = self.world();
        let comment = world.add_comment(item, author, html, None);
        self.courier.take(world.commented(item, &comment, writer))
    }

    /// The human drags the item to the state of that name.
    pub fn move_item(&self, item: &str, state: &str) -> Delivery {
        let mut world = self.world();
        let project = world.items[item].project.clone();
        let to = world.states[&project].iter().find(|s| s.name == state).unwrap().id.clone();
        let from = world.set_state(item, &to, Self::HUMAN);
        self.courier.take(world.changed(item, "state_id", (json!(from), json!(to)), Self::HUMAN))
    }

    /// The human puts a label on the item.
    pub fn label_item(&self, item: &str, name: &str) -> Delivery {
        let mut world = self.world();
        let label = world.label_id(Self::PROJECT, name);
        world.item_mut(item).labels.push(label.clone());
        self.courier.take(world.changed(item, "labels", (Value::Null, json!(label)), Self::HUMAN))
    }

    /// The project gets one more state.
    pub fn add_state(&self, name: &str, group: &str) {
        let row = StateRow { id: Uuid::new_v4().to_string(), name: name.into(), group: group.into() };
        self.world().states.get_mut(Self::PROJECT).unwrap().push(row);
    }

    /// Deleted by the human in a release (before v0.27) that says so.
    pub fn delete_item_said(&self, item: &str) -> Delivery {
        self.delete_item(item);
        self.courier.take(deleted(item, Self::HUMAN))
    }

    /// Deleted without a word: Plane sends no webhook for it.
    pub fn delete_item(&self, item: &str) {
        self.world().items.remove(item);
    }

    pub fn item(&self, item: &str) -> ItemView {
        let world = self.world();
        let row = &world.items[item];
        ItemView {
            id: row.id.clone(),
            sequence: row.sequence,
            title: row.title.clone(),
            state: world.state_name(row),
            comments: row.comments.clone(),
            links: row.links.clone(),
        }
    }

    /// Every move of the item to another state, oldest first: the state's name and who did it.
    pub fn moves_of(&self, item: &str) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let world = self.world();
        let moves = world.items[item].activities.iter().filter(|a| a["field"] == "state");
        moves.map(|a| (text(&a["new_value"]), text(&a["actor"]))).collect()
    }

    /// The name of the item's state.
    pub fn state_of(&self, item: &str) -> String {
        self.item(item).state
    }

    /// The HTML of the item's comments, oldest first.
    pub fn comments_of(&self, item: &str) -> Vec<String> {
        self.item(item).comments.into_iter().map(|c| c.html).collect()
    }

    /// The names of the project's states.
    pub fn state_names(&self) -> Vec<String> {
        self.world().states[Self::PROJECT].iter().map(|s| s.name.clone()).collect()
    }

    /// An admin deletes a state that no item is in.
    pub fn remove_state(&self, name: &str) {
        self.world().states.get_mut(Self::PROJECT).unwrap().retain(|s| s.name != name);
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        held(&self.world)
    }
}

pub(super) fn held(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn new() -> Self {
        let rows = [
            ("Backlog", "backlog"),
            ("Todo", "unstarted"),
            ("In Progress", "started"),
            ("Done", "completed"),
            ("Cancelled", "cancelled"),
        ];
        let row = |(name, group): (&str, &str)| StateRow {
            id: Uuid::new_v4().to_string(),
            name: name.into(),
            group: group.into(),
        };
        World {
            states: BTreeMap::from([(FakePlane::PROJECT.to_owned(), rows.map(row).to_vec())]),
            labels: BTreeMap::new(),
            items: BTreeMap::new(),
            files: BTreeMap::new(),
            storage: None,
            limit: None,
            calls: VecDeque::new(),
            old_routes: false,
            bot_role: 15,
            bot_role_in_project: 15,
            insert_pause: Duration::ZERO,
            blind: false,
            refuses_moves: false,
            next_sequence: 1,
            last_ms: 0,
        }
    }

    /// A time later than every one before, so that orders by time are total.
    pub fn tick(&mut self) -> i64 {
        self.last_ms = now_ms().max(self.last_ms + 1);
        self.last_ms
    }

    pub fn item_mut(&mut self, item: &str) -> &mut ItemRow {
        self.items.get_mut(item).unwrap_or_else(|| panic!("no work item {item}"))
    }

    pub fn state_name(&self, row: &ItemRow) -> String {
        self.states[&row.project].iter().find(|s| s.id == row.state).map(|s| s.name.clone()).unwrap()
    }

    pub fn add_item(&mut self, project: &str, title: &str, html: &str, user: &str) -> String {
        let (id, now) = (Uuid::new_v4().to_string(), self.tick());
        let row = ItemRow {
            id: id.clone(),
            project: project.to_owned(),
            sequence: self.next_sequence,
            title: title.to_owned(),
            html: html.to_owned(),
            state: self.states[project][0].id.clone(),
            labels: Vec::new(),
            comments: Vec::new(),
            links: Vec::new(),
            attachments: Vec::new(),
            activities: vec![activity("created", user, now, Value::Null)],
            archived_ms: None,
            created_by: user.to_owned(),
            updated_by: user.to_owned(),
            created_ms: now,
            updated_ms: now,
        };
        self.next_sequence += 1;
        self.items.insert(id.clone(), row);
        id
    }

    pub fn add_comment(&mut self, item: &str, user: &str, html: &str, external: Option<(String, String)>) -> String {
        let (id, now) = (Uuid::new_v4().to_string(), self.tick());
        let (external_source, external_id) = external.unzip();
        let comment = CommentView {
            id: id.clone(),
            html: html.to_owned(),
            actor: user.to_owned(),
            updated_by: None,
            external_source,
            external_id,
            created_ms: now,
            updated_ms: now,
        };
        let row = self.item_mut(item);
        row.comments.push(comment);
        // Plane's worker touches the item a moment later; here at once.
        row.updated_ms = now;
        id
    }

    /// Gives the state it was in before.
    pub fn set_state(&mut self, item: &str, to: &str, user: &str) -> String {
        let now = self.tick();
        let row = self.items[item].clone();
        let name = |id: &str| self.states[&row.project].iter().find(|s| s.id == id).unwrap().name.clone();
        let change = json!({
            "field": "state", "old_value": name(&row.state), "new_value": name(to),
            "old_identifier": row.state, "new_identifier": to,
        });
        let item = self.item_mut(item);
        item.activities.push(activity("updated", user, now, change));
        (item.updated_ms, item.updated_by) = (now, user.to_owned());
        std::mem::replace(&mut item.state, to.to_owned())
    }

    pub fn label_id(&mut self, project: &str, name: &str) -> String {
        let labels = self.labels.entry(project.to_owned()).or_default();
        if let Some((id, _)) = labels.iter().find(|(_, n)| n == name) {
            return id.clone();
        }
        let id = Uuid::new_v4().to_string();
        labels.push((id.clone(), name.to_owned()));
        id
    }
}

fn activity(verb: &str, actor: &str, at_ms: i64, change: Value) -> Value {
    let mut row = json!({
        "id": Uuid::new_v4().to_string(), "verb": verb, "field": null, "old_value": null, "new_value": null,
        "old_identifier": null, "new_identifier": null, "actor": actor, "created_at": rfc3339(at_ms),
        "updated_at": rfc3339(at_ms), "epoch": at_ms / 1000,
    });
    for (key, value) in change.as_object().into_iter().flatten() {
        row[key] = value.clone();
    }
    row
}
