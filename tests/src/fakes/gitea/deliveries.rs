//! The forge's webhook deliveries: a fixture of the same kind with this world's values in it, signed.

use super::FakeGitea;
use super::rights::account;
use super::world::{CommentRow, ReviewRow, StatusRow, World};
pub(super) use crate::fakes::courier::Courier;
use crate::fakes::courier::{Delivery, sign};
use crate::fakes::fixture_json;
use serde_json::{Value, json};
use uuid::Uuid;

impl World {
    pub(super) fn pushed(&self, repo: &str, branch: &str, moved: (&str, &str), login: &str) -> Delivery {
        let mut body = fixture_json("gitea/push.json");
        body["ref"] = json!(format!("refs/heads/{branch}"));
        body["before"] = json!(moved.0);
        body["after"] = json!(moved.1);
        self.delivery(body, repo, login, ("push", "push"))
    }

    pub(super) fn branch_event(&self, repo: &str, branch: &str, event: &str, login: &str) -> Delivery {
        let mut body = fixture_json(&format!("gitea/{event}_branch.json"));
        body["ref"] = json!(branch);
        self.delivery(body, repo, login, (event, event))
    }

    /// `template` is the fixture's name, which holds the action.
    pub(super) fn about_pull(&self, repo: &str, number: i64, template: &str, login: &str) -> Delivery {
        let mut body = fixture_json(&format!("gitea/{template}.json"));
        body["number"] = json!(number);
        body["pull_request"] = self.pull_json(repo, number);
        self.delivery(body, repo, login, ("pull_request", "pull_request"))
    }

    /// Somebody is asked for a review, or no longer.
    pub(super) fn review_asked(&self, repo: &str, number: i64, action: &str, login: &str) -> Delivery {
        let mut body = fixture_json("gitea/pull_request_review_requested.json");
        body["action"] = json!(action);
        body["number"] = json!(number);
        body["pull_request"] = self.pull_json(repo, number);
        self.delivery(body, repo, login, ("pull_request", "pull_request_review_request"))
    }

    pub(super) fn reviewed(&self, repo: &str, number: i64, review: &ReviewRow) -> Delivery {
        let word = match review.state.as_str() {
            "APPROVED" => "approved",
            "REQUEST_CHANGES" => "rejected",
            _ => "comment",
        };
        let mut body = fixture_json(&format!("gitea/pull_request_review_{word}.json"));
        body["number"] = json!(number);
        body["pull_request"] = self.pull_json(repo, number);
        body["review"]["content"] = json!(review.body);
        body["commit_id"] = json!(review.commit);
        let (event, kind) = (format!("pull_request_{word}"), format!("pull_request_review_{word}"));
        self.delivery(body, repo, &review.login, (&event, &kind))
    }

    pub(super) fn stated(&self, repo: &str, status: &StatusRow, login: &str) -> Delivery {
        let mut body = fixture_json("gitea/status_success.json");
        body["sha"] = json!(status.sha);
        body["commit"]["id"] = json!(status.sha);
        body["context"] = json!(status.context);
        body["state"] = json!(status.state);
        body["description"] = json!(status.description);
        // A delivery has the host, where lists have a path.
        let host = if status.target_url.starts_with('/') { self.url.as_str() } else { "" };
        body["target_url"] = json!(format!("{host}{}", status.target_url));
        self.delivery(body, repo, login, ("status", "status"))
    }

    pub(super) fn commented(&self, repo: &str, number: i64, comment: &CommentRow) -> Delivery {
        let mut body = fixture_json("gitea/pull_request_comment_created.json");
        body["issue"]["number"] = json!(number);
        body["comment"]["id"] = json!(comment.id);
        body["comment"]["body"] = json!(comment.body);
        body["comment"]["user"] = account(&comment.login);
        self.delivery(body, repo, &comment.login, ("issue_comment", "pull_request_comment"))
    }

    pub(super) fn delivery(&self, mut body: Value, repo: &str, login: &str, names: (&str, &str)) -> Delivery {
        body["repository"] = self.repo_json(repo);
        body["sender"] = account(login);
        let body = serde_json::to_string_pretty(&body).unwrap();
        let (id, signature) = (Uuid::new_v4().to_string(), sign(FakeGitea::WEBHOOK_SECRET, &body));
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        for brand in ["Gitea", "Gogs"] {
            headers.push((format!("X-{brand}-Delivery"), id.clone()));
            headers.push((format!("X-{brand}-Event"), names.0.to_owned()));
            headers.push((format!("X-{brand}-Event-Type"), names.1.to_owned()));
            headers.push((format!("X-{brand}-Signature"), signature.clone()));
        }
        headers.push(("X-Hub-Signature-256".to_owned(), format!("sha256={signature}")));
        Delivery { headers, body }
    }
}
