//! What is done by hand: the forge's token, and Plane's webhook, which can only be made in its pages.

use crate::ctl::error::Done;
use crate::ctl::screen::Screen;
use orch_common::config::Config;
use std::path::Path;

/// How the forge makes a token, before one is asked for.
pub fn for_token(screen: &mut Screen<'_>, url: &str) -> Done {
    screen.line(format!("   In the forge, signed in as the bot's account: {url}/user/settings/applications"))?;
    screen
        .line("   Generate new token, for all repositories, with: repository read and write, issue read and write,")?;
    screen.line("   user read (and organization read, if a project's reviewers name a team)")?;
    Ok(())
}

pub fn show(screen: &mut Screen<'_>, config: &Config, path: &Path) -> Done {
    let ours = config.worker.public_url.as_ref().map_or("<public_url>", |url| url.as_str());
    screen.heading("In Plane (as an admin of the workspace)")?;
    screen.line("1. Workspace settings > Webhooks > Add webhook")?;
    screen.line(format!("   URL: {ours}/webhook/plane"))?;
    screen.line("   Select individual events: Work items, and Work item comments (Issue, Issue comment in older ones); active: yes")?;
    screen.line("2. Plane shows the secret (plane_wh_...) once: put it into plane.webhook_secret")?;
    screen.line("3. Add the bot's account to the project as a Member")?;
    screen.line(
        "   An address of the inside needs, since Plane 1.3.1, WEBHOOK_ALLOWED_HOSTS for its api and its worker",
    )?;
    screen.heading("Then")?;
    let file = path.display();
    screen.line(format!("orchctl --config {file} doctor      # what is missing"))?;
    screen.line(format!("orchctl --config {file} up          # both processes; for good: systemd"))?;
    Ok(())
}
