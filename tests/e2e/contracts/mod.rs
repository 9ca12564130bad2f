//! What the clients send and understand, against the services' own descriptions, recorded answers, and everything
//! that goes wrong between two programs.

mod effects;
mod forge_calls;
mod forge_ci;
mod forge_merges;
mod forge_people;
mod gitea_merge;
mod recorded_gitea;
mod recorded_plane;
mod swagger;
mod telegram;
mod wrong_turns;

use orch_tests::fakes::{FakeGitea, FakePlane, FakeTelegram};
use orch_worker::clients::Timing;
use orch_worker::clients::gitea::{GiteaClient, GiteaSettings};
use orch_worker::clients::plane::{PlaneClient, PlaneSettings};
use orch_worker::clients::telegram::{TelegramClient, TelegramSettings};
use std::time::Duration;

/// Short pauses, and a patience that a slow answer outlasts.
fn timing() -> Timing {
    Timing { connect: Duration::from_secs(2), total: Duration::from_secs(3), first_pause: Duration::from_millis(10) }
}

fn plane_at(url: &str) -> PlaneClient {
    let settings =
        PlaneSettings { url: url.into(), workspace: FakePlane::WORKSPACE.into(), token: FakePlane::TOKEN.into() };
    PlaneClient::with_timing(settings, timing()).unwrap().with_rate(10_000)
}

fn gitea_at(url: &str) -> GiteaClient {
    let settings = GiteaSettings { url: url.into(), owner: FakeGitea::OWNER.into(), token: FakeGitea::TOKEN.into() };
    GiteaClient::with_timing(settings, timing()).unwrap()
}

/// The second account.
fn gitea_reviewer_at(url: &str) -> GiteaClient {
    let (owner, token) = (FakeGitea::OWNER.into(), FakeGitea::REVIEWER_TOKEN.into());
    GiteaClient::with_timing(GiteaSettings { url: url.into(), owner, token }, timing()).unwrap()
}

fn telegram_at(url: &str) -> TelegramClient {
    let settings =
        TelegramSettings { url: url.into(), token: FakeTelegram::TOKEN.into(), chat_id: FakeTelegram::CHAT.into() };
    TelegramClient::with_timing(settings, timing()).unwrap()
}
