//! The person in the play: what Plane would send when somebody creates a work item and comments on it, signed with
//! the webhook's secret, over real HTTP.

use super::scene::Scene;
use anyhow::ensure;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::SocketAddr;
use uuid::Uuid;

pub(super) struct Person {
    http: reqwest::Client,
    url: String,
    secret: String,
    project: Uuid,
    work_item: Uuid,
    id: Uuid,
}

impl Person {
    pub(super) fn new(scene: &Scene, api: SocketAddr) -> anyhow::Result<Person> {
        Ok(Person {
            http: crate::clients::plain_client()?,
            url: format!("http://{api}/webhook/plane"),
            secret: scene.secret.clone(),
            project: scene.plane_project,
            work_item: scene.work_item,
            id: scene.person,
        })
    }

    pub(super) async fn creates_the_work_item(&self) -> anyhow::Result<()> {
        let data = json!({
            "id": self.work_item, "name": "Greet people by name", "sequence_id": 1,
            "description_html": "<p>As a user I want to be greeted <strong>by my name</strong>.</p>",
            "description_stripped": "As a user I want to be greeted by my name.", "priority": "high",
            "state": { "id": Uuid::new_v4(), "name": "Todo", "color": "#60646C", "group": "unstarted" },
            "labels": [], "assignees": [], "project": self.project, "workspace": Uuid::nil(),
            "external_source": null, "external_id": null, "created_by": self.id, "updated_by": null,
        });
        self.send("issue", data).await
    }

    pub(super) async fn approves(&self) -> anyhow::Result<()> {
        let data = json!({
            "id": Uuid::new_v4(), "comment_html": "<p>:approved: looks good to me</p>", "issue": self.work_item,
            "project": self.project, "workspace": Uuid::nil(), "actor": self.id, "created_by": self.id,
            "external_source": null, "external_id": null, "access": "INTERNAL",
        });
        self.send("issue_comment", data).await
    }

    async fn send(&self, event: &str, data: Value) -> anyhow::Result<()> {
        let body = serde_json::to_vec(&json!({
            "event": event, "action": "created", "webhook_id": Uuid::new_v4(), "workspace_id": Uuid::nil(),
            "data": data,
            "activity": { "field": null, "new_value": null, "old_value": null, "actor": {
                "id": self.id, "first_name": "Hugo", "last_name": "Human", "display_name": "hugo" },
                "old_identifier": null, "new_identifier": null },
        }))?;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())?;
        mac.update(&body);
        let answer = self
            .http
            .post(&self.url)
            .header("content-type", "application/json")
            .header("x-plane-delivery", Uuid::new_v4().to_string())
            .header("x-plane-event", event)
            .header("x-plane-signature", hex::encode(mac.finalize().into_bytes()))
            .body(body)
            .send()
            .await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success() && text.contains("queued"), "the webhook was answered {status}: {text}");
        Ok(())
    }
}
