//! What both webhooks have in common: a signed text becomes one committed job, or an answer that its sender
//! understands.

use super::signed::Signed;
use crate::app::App;
use crate::hangup;
use crate::intake::IntakeError;
use crate::problem::Problem;
use crate::settings::Settings;
use crate::signature::{SignatureHeader, SigningKey};
use crate::wire::{Malformed, Verdict};
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, Route, web};
use orch_common::store::deliveries::{Intake as Committed, Source};
use orch_common::store::refusals::Reason;
use orch_common::store::repositories;
use std::borrow::Cow;
use std::time::Duration;

/// Seconds after which a sender may come back.
const RETRY_AFTER: u64 = 5;

/// One kind of sender.
pub trait Sender: Sized + 'static {
    const SOURCE: Source;
    /// The headers that may carry its signature.
    const SIGNATURES: &'static [SignatureHeader];
    /// A header that its program sends with every delivery, and that strangers have no reason to send.
    const MARKS: &'static [&'static str];
    /// How long it waits for an answer, less some time for the way.
    const PATIENCE: Duration;
    /// It takes every answer for "delivered"; only a cut connection makes it send again.
    const SENDS_AGAIN_ONLY_IF_CUT: bool;

    /// Its secret.
    fn key(settings: &Settings) -> Option<&SigningKey>;

    /// The part of the body that is signed and is JSON; `None` = there is none.
    fn signed_part<'a>(headers: &HeaderMap, body: &'a [u8]) -> Option<Cow<'a, [u8]>>;

    /// Decides on the signed text.
    fn read(settings: &Settings, headers: &HeaderMap, text: String) -> Result<Verdict, Malformed>;
}

/// `POST` by this sender.
pub fn route<S: Sender>() -> Route {
    web::post().to(receive::<S>)
}

async fn receive<S: Sender>(
    request: HttpRequest,
    app: web::Data<App>,
    signed: Signed<S>,
) -> Result<HttpResponse, Problem> {
    let Signed { text, held, .. } = signed;
    let verdict = S::read(&app.settings, request.headers(), text).map_err(|error| {
        tracing::warn!(source = %S::SOURCE, %error, "webhook refused: payload not understood");
        app.intake.refused(S::SOURCE, Reason::Unreadable);
        Problem::bad_request(error.to_string())
    })?;
    let new = match verdict {
        Verdict::Enqueue(new) => *new,
        Verdict::EnqueueIfRenamed { id, about, new, unknown } => {
            let known = app.reads.read(&app.intake, move |c| Ok(repositories::by_id(c, id)?.map(|known| known.repo)));
            match known.await? {
                Some(repo) if app.settings.known_repos.contains(&repo) => new.of_repository(repo, about.as_deref()),
                Some(_) | None => return Ok(ignore_unknown::<S>(&app, &unknown)),
            }
        }
        Verdict::Unknown(reason) => return Ok(ignore_unknown::<S>(&app, &reason)),
        Verdict::Ignored(reason) => {
            tracing::info!(source = %S::SOURCE, reason, "webhook ignored");
            return Ok(answer(r#"{"status":"ignored"}"#.to_owned()));
        }
    };
    match app.intake.commit(new, held, S::PATIENCE).await {
        Ok(Committed::Queued(job)) => {
            tracing::debug!(source = %S::SOURCE, job, "webhook queued");
            Ok(answer(format!(r#"{{"status":"queued","job_id":{job}}}"#)))
        }
        Ok(Committed::Duplicate(job)) => {
            tracing::info!(source = %S::SOURCE, job, "duplicate webhook");
            Ok(answer(format!(r#"{{"status":"duplicate","job_id":{job}}}"#)))
        }
        Err(IntakeError::Unavailable(why)) => {
            app.intake.refused(S::SOURCE, Reason::Busy);
            Err(unavailable::<S>(&request, why))
        }
        Err(IntakeError::Rejected) => Err(Problem::rejected()),
    }
}

/// The delivery cannot be taken now; says so in the way its sender understands.
pub fn unavailable<S: Sender>(request: &HttpRequest, why: &'static str) -> Problem {
    let cut = S::SENDS_AGAIN_ONLY_IF_CUT && hangup::cut(request);
    tracing::warn!(source = %S::SOURCE, why, cut, "webhook not stored");
    // On a cut connection this goes nowhere.
    Problem::unavailable(why, RETRY_AFTER)
}

fn ignore_unknown<S: Sender>(app: &App, reason: &str) -> HttpResponse {
    tracing::info!(source = %S::SOURCE, reason, "webhook ignored");
    app.intake.refused(S::SOURCE, Reason::Unknown);
    answer(r#"{"status":"ignored"}"#.to_owned())
}

fn answer(json: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(json)
}
