//! Plane's external API v1 over the world: its slashes, its errors, its limit, its paging.

use super::courier::Courier;
use super::plane::{CommentView, FakePlane, ItemRow, LinkView, StateRow, World, held};
use super::plane_people::{address_of, stored};
use super::rfc3339;
use super::server::{Reply, Request};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use uuid::Uuid;

impl FakePlane {
    /// At most so many calls in a minute (the real default is 60).
    pub fn limit_per_minute(&self, calls: Option<usize>) {
        self.world().limit = calls;
    }

    /// Serves `/issues/` only, as releases before v1.1 do.
    pub fn only_old_routes(&self) {
        self.world().old_routes = true;
    }

    /// The bot's role in the workspace: 20 admin, 15 member, 5 guest.
    pub fn set_bot_role(&self, role: i32) {
        self.world().bot_role = role;
    }

    /// Its role in the project.
    pub fn set_bot_role_in_project(&self, role: i32) {
        self.world().bot_role_in_project = role;
    }
}

/// Answers. A create of a comment or a link looks, and inserts later, with nothing held between the two.
pub(super) fn serve(world: &Mutex<World>, courier: &Courier, request: &Request) -> Reply {
    let pause = held(world).insert_pause;
    let creates = request.method == "POST" && matches!(request.segments().last(), Some(&"comments" | &"links"));
    if pause.is_zero() || !creates {
        return handle(&mut held(world), courier, request);
    }
    // What the look finds is answered at once.
    let found = existing(&held(world), request);
    if found {
        return handle(&mut held(world), courier, request);
    }
    std::thread::sleep(pause);
    let mut world = held(world);
    world.blind = true;
    let reply = handle(&mut world, courier, request);
    world.blind = false;
    reply
}

/// Whether what is to be made is there.
fn existing(world: &World, request: &Request) -> bool {
    let segments = request.segments();
    let Some(row) = segments.get(7).and_then(|id| world.items.get(*id)) else { return true };
    let body = request.json();
    let id = (body["external_source"].as_str(), body["external_id"].as_str());
    let comment = |c: &CommentView| (c.external_source.as_deref(), c.external_id.as_deref()) == id && id.1.is_some();
    match segments.last() {
        Some(&"comments") => row.comments.iter().any(comment),
        _ => row.links.iter().any(|link| Some(link.url.as_str()) == body["url"].as_str()),
    }
}

fn handle(world: &mut World, courier: &Courier, request: &Request) -> Reply {
    if request.segments().first() == Some(&"uploads") {
        return stored(world, request);
    }
    if !request.path.ends_with('/') {
        return Reply::empty(301).with("location", format!("{}/", request.path));
    }
    match request.header("x-api-key") {
        None => return error(401, "detail", "Authentication credentials were not provided."),
        Some(key) if key != FakePlane::TOKEN => return error(403, "detail", "Given API token is not valid"),
        Some(_) => {}
    }
    if let Some(wait) = over_limit(world) {
        let body = json!({ "error_code": 5900, "error_message": "RATE_LIMIT_EXCEEDED" });
        return Reply::json(429, body).with("retry-after", wait);
    }
    let reply = answer(world, courier, request);
    match world.limit {
        // Only what is served says what is left; the reset is always a minute from now, whatever is true.
        Some(limit) => {
            let left = limit.saturating_sub(world.calls.len());
            reply.with("x-ratelimit-remaining", left).with("x-ratelimit-reset", super::now_ms() / 1000 + 60)
        }
        None => reply,
    }
}

fn answer(world: &mut World, courier: &Courier, request: &Request) -> Reply {
    match request.segments().as_slice() {
        ["api", "v1", "users", "me"] => Reply::json(200, user(FakePlane::BOT)),
        ["api", "v1", "workspaces", FakePlane::WORKSPACE, "projects", rest @ ..] => {
            in_workspace(world, courier, request, rest)
        }
        ["api", "v1", "workspaces", FakePlane::WORKSPACE, "members"] => {
            let roles = [(FakePlane::HUMAN, 15), (FakePlane::BOT, world.bot_role), (FakePlane::ADMIN, 20)];
            let member = |(id, role): (&str, i32)| {
                let mut member = user(id);
                member["role"] = json!(role);
                member
            };
            Reply::json(200, roles.map(member).to_vec().into())
        }
        ["api", "v1", "workspaces", ..] => error(403, "detail", "You do not have permission to perform this action."),
        _ => page_not_found(),
    }
}

fn over_limit(world: &mut World) -> Option<u64> {
    let (limit, minute) = (world.limit?, Duration::from_secs(60));
    world.calls.retain(|at| at.elapsed() < minute);
    if world.calls.len() < limit {
        world.calls.push_back(Instant::now());
        return None;
    }
    let oldest = world.calls.front().map_or(Duration::ZERO, Instant::elapsed);
    Some((minute - oldest.min(minute)).as_secs().max(1))
}

fn error(status: u16, key: &str, text: &str) -> Reply {
    Reply::json(status, json!({ key: text }))
}

fn page_not_found() -> Reply {
    error(404, "error", "Page not found.")
}

fn in_workspace(world: &mut World, courier: &Courier, request: &Request, rest: &[&str]) -> Reply {
    let role = world.bot_role_in_project;
    let project =
        json!({ "id": FakePlane::PROJECT, "name": "Example Tracker", "identifier": "ET", "member_role": role });
    match rest {
        [] => page(vec![project], request),
        [id, ..] if *id != FakePlane::PROJECT => {
            error(403, "detail", "You do not have permission to perform this action.")
        }
        [_] => Reply::json(200, project),
        [_, "states"] => states(world, request),
        [_, "labels"] => {
            let labels = world.labels.get(FakePlane::PROJECT).cloned().unwrap_or_default();
            page(labels.into_iter().map(|(id, name)| json!({ "id": id, "name": name, "color": "" })).collect(), request)
        }
        [_, "members" | "project-members"] => {
            Reply::json(200, [FakePlane::HUMAN, FakePlane::BOT, FakePlane::ADMIN].map(user).to_vec().into())
        }
        [_, "work-items", ..] if world.old_routes => page_not_found(),
        [_, "work-items" | "issues", rest @ ..] => items(world, courier, request, rest),
        _ => page_not_found(),
    }
}

fn user(id: &str) -> Value {
    let name = match id {
        FakePlane::BOT => "orchestrator",
        FakePlane::HUMAN => "hugo",
        _ => "ada",
    };
    json!({ "id": id, "display_name": name, "first_name": name, "last_name": "", "email": format!("{name}@acme.test") })
}

fn page(all: Vec<Value>, request: &Request) -> Reply {
    let size = |text: Option<&str>| text.and_then(|t| t.parse::<usize>().ok());
    let per_page = size(request.query("per_page")).unwrap_or(1000);
    if per_page == 0 {
        return error(500, "error", "Something went wrong please try again later");
    }
    if per_page > 1000 {
        return error(400, "detail", "Invalid per_page value. Cannot exceed 1000.");
    }
    let number = request.query("cursor").and_then(|c| size(c.split(':').nth(1))).unwrap_or(0);
    let total = all.len();
    let results: Vec<Value> = all.into_iter().skip(number * per_page).take(per_page).collect();
    let more = (number + 1) * per_page < total;
    let body = json!({
        "grouped_by": null, "sub_grouped_by": null, "total_count": total, "total_results": total,
        "next_cursor": format!("{per_page}:{}:0", number + 1), "next_page_results": more,
        "prev_cursor": format!("{per_page}:{}:1", number as i64 - 1), "prev_page_results": number > 0,
        "count": results.len(), "total_pages": total.div_ceil(per_page), "extra_stats": null, "results": results,
    });
    Reply::json(200, body)
}

fn state(row: &StateRow) -> Value {
    json!({ "id": row.id, "name": row.name, "group": row.group, "color": "#F59E0B", "default": false })
}

fn states(world: &mut World, request: &Request) -> Reply {
    let rows = world.states.get_mut(FakePlane::PROJECT).unwrap();
    if request.method == "GET" {
        return page(rows.iter().map(state).collect(), request);
    }
    let body = request.json();
    let (Some(name), Some(group)) = (body["name"].as_str(), body["group"].as_str()) else {
        return Reply::json(400, json!({ "name": ["This field is required."] }));
    };
    if let Some(taken) = rows.iter().find(|s| s.name == name) {
        let why = "State with the same name already exists in the project";
        return Reply::json(409, json!({ "error": why, "id": taken.id }));
    }
    let row = StateRow { id: Uuid::new_v4().to_string(), name: name.into(), group: group.into() };
    rows.push(row.clone());
    Reply::json(200, state(&row))
}

fn item(world: &World, row: &ItemRow, expand: Option<&str>) -> Value {
    let expands = |what: &str| expand.is_some_and(|e| e.split(',').any(|e| e == what));
    let states = &world.states[&row.project];
    let labels = world.labels.get(&row.project).into_iter().flatten().filter(|(id, _)| row.labels.contains(id));
    let labels: Vec<Value> = match expands("labels") {
        true => labels.map(|(id, name)| json!({ "id": id, "name": name, "color": "" })).collect(),
        false => labels.map(|(id, _)| json!(id)).collect(),
    };
    let state = match states.iter().find(|s| s.id == row.state).filter(|_| expands("state")) {
        Some(s) => json!({ "id": s.id, "name": s.name, "color": "#60646C", "group": s.group }),
        None => json!(row.state),
    };
    json!({
        "id": row.id, "name": row.title, "description_html": row.html, "sequence_id": row.sequence, "state": state,
        "labels": labels, "assignees": [], "priority": "none", "project": row.project,
        "archived_at": row.archived_ms.map(rfc3339),
        "external_source": null, "external_id": null, "created_by": row.created_by, "updated_by": row.updated_by,
        "created_at": rfc3339(row.created_ms), "updated_at": rfc3339(row.updated_ms),
    })
}

fn items(world: &mut World, courier: &Courier, request: &Request, rest: &[&str]) -> Reply {
    let expand = request.query("expand");
    let Some((id, rest)) = rest.split_first() else {
        let mut rows: Vec<&ItemRow> = world.items.values().filter(|row| row.archived_ms.is_none()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.created_ms));
        if request.query("order_by") == Some("-updated_at") {
            rows.sort_by_key(|row| std::cmp::Reverse(row.updated_ms));
        }
        return page(rows.into_iter().map(|row| item(world, row, expand)).collect(), request);
    };
    if Uuid::parse_str(id).is_err() {
        return page_not_found();
    }
    let Some(row) = world.items.get(*id).cloned() else {
        let posted = request.method == "POST";
        return match posted {
            true => error(400, "error", "The payload is not valid"),
            false => error(404, "error", "The requested resource does not exist."),
        };
    };
    let is_write = request.method != "GET";
    let to_comments = matches!(rest, ["comments", ..]);
    if is_write && !to_comments && world.bot_role_in_project < 15 {
        return error(403, "detail", "You do not have permission to perform this action.");
    }
    match (request.method.as_str(), rest) {
        ("GET", []) if row.archived_ms.is_some() => error(404, "error", "The requested resource does not exist."),
        ("GET", []) => Reply::json(200, item(world, &row, expand)),
        ("PATCH", []) => patch(world, courier, &row, &request.json()),
        ("GET", ["comments"]) => page(row.comments.iter().rev().map(|c| comment(&row, c)).collect(), request),
        ("GET", ["comments", id]) => match row.comments.iter().find(|c| c.id == *id) {
            Some(said) => Reply::json(200, comment(&row, said)),
            None => error(404, "error", "The requested resource does not exist."),
        },
        ("GET", ["attachments"]) if request.path.contains("/work-items/") => Reply::json(200, row.attachments.into()),
        // Any file of the project; the address that it leads to is no call of the API.
        ("GET", ["attachments", id]) if request.path.contains("/work-items/") => {
            let own = format!("http://{}", request.header("host").unwrap_or_default());
            match address_of(world, id, &own) {
                Some(address) => Reply::empty(302).with("location", address),
                None => error(404, "error", "The requested resource does not exist."),
            }
        }
        ("POST", ["comments"]) => post_comment(world, courier, &row, &request.json()),
        ("GET", ["activities"]) => page(row.activities, request),
        ("GET", ["links"]) => page(row.links.iter().map(link).collect(), request),
        ("POST", ["links"]) => post_link(world, &row, &request.json()),
        ("DELETE", ["comments", id]) => {
            let (id, comments) = (id.to_owned(), &mut world.item_mut(&row.id).comments);
            gone(comments, |c| c.id == id)
        }
        ("DELETE", ["links", id]) => {
            let (id, links) = (id.to_owned(), &mut world.item_mut(&row.id).links);
            gone(links, |l| l.id == id)
        }
        _ => page_not_found(),
    }
}

fn gone<T>(rows: &mut Vec<T>, is: impl Fn(&T) -> bool) -> Reply {
    let before = rows.len();
    rows.retain(|row| !is(row));
    match rows.len() < before {
        true => Reply::empty(204),
        false => error(404, "error", "The requested resource does not exist."),
    }
}

fn patch(world: &mut World, courier: &Courier, row: &ItemRow, body: &Value) -> Reply {
    if let Some(to) = body["state"].as_str() {
        if !world.states[&row.project].iter().any(|s| s.id == to) {
            let why = format!("Invalid pk \"{to}\" - object does not exist.");
            return Reply::json(400, json!({ "state": [why] }));
        }
        if to != row.state && world.refuses_moves {
            return error(400, "error", "State transition is not allowed");
        }
        if to != row.state {
            let from = world.set_state(&row.id, to, FakePlane::BOT);
            courier.take(world.changed(&row.id, "state", (json!(from), json!(to)), FakePlane::BOT));
        }
    }
    Reply::json(200, item(world, &world.items[&row.id], None))
}

fn comment(row: &ItemRow, said: &CommentView) -> Value {
    json!({
        "id": said.id, "comment_html": said.html, "actor": said.actor, "created_by": said.actor, "updated_by": said.updated_by,
        "external_source": said.external_source, "external_id": said.external_id, "issue": row.id, "access": "INTERNAL",
        "project": row.project, "created_at": rfc3339(said.created_ms), "updated_at": rfc3339(said.updated_ms),
        "edited_at": null, "is_member": true,
    })
}

fn post_comment(world: &mut World, courier: &Courier, row: &ItemRow, body: &Value) -> Reply {
    let text = |key: &str| body[key].as_str().map(str::to_owned);
    let external = text("external_source").zip(text("external_id"));
    let same = |c: &&CommentView| c.external_source.clone().zip(c.external_id.clone()) == external;
    if let Some(there) = row.comments.iter().find(same).filter(|_| external.is_some() && !world.blind) {
        let why = "Work item comment with the same external id and external source already exists";
        return Reply::json(409, json!({ "error": why, "id": there.id }));
    }
    let html = text("comment_html").unwrap_or_else(|| "<p></p>".into());
    let id = world.add_comment(&row.id, FakePlane::BOT, &html, external);
    courier.take(world.commented(&row.id, &id, FakePlane::BOT));
    let said = world.items[&row.id].comments.last().unwrap().clone();
    Reply::json(201, comment(row, &said))
}

fn link(link: &LinkView) -> Value {
    json!({
        "id": link.id, "url": link.url, "title": link.title, "created_by": FakePlane::BOT, "metadata": {},
        "created_at": rfc3339(link.created_ms), "updated_at": rfc3339(link.created_ms),
    })
}

fn post_link(world: &mut World, row: &ItemRow, body: &Value) -> Reply {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    if row.links.iter().any(|l| l.url == text("url")) && !world.blind {
        return error(400, "error", "URL already exists for this Issue");
    }
    let (id, created_ms) = (Uuid::new_v4().to_string(), world.tick());
    let new = LinkView { id, url: text("url"), title: text("title"), created_ms };
    let answer = link(&new);
    world.item_mut(&row.id).links.push(new);
    Reply::json(201, answer)
}
