//! Our own intake: whether it listens, and whether the address that senders are given leads to it.

use super::Asked;
use super::TIMING;
use super::report::Report;
use crate::clients::{Answer, Network, health};
use orch_common::store::deliveries::Source;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::Url;

const START: &str =
    "start orch-api (`systemctl start orch-api`, or `make run`); where it runs on another machine, look there";
const LOG: &str = "look at the log of orch-api";

pub async fn check(report: &Report, asked: &Asked<'_>) {
    let Ok(network) = Network::of(&asked.config.network) else { return };
    tokio::join!(listening(report, asked, &network), reached(report, asked, &network));
}

async fn listening(report: &Report, asked: &Asked<'_>, network: &Network) {
    let (check, at) = ("api", here(asked.config.api.bind));
    let Ok(url) = Url::parse(&format!("http://{at}/")) else { return };
    match report.during(check, health(&url, TIMING, network)).await {
        Answer::Ready => report.ok(check, format!("listens at {at} and takes webhooks")),
        Answer::Unready(why) => report.fail(check, format!("listens at {at} and cannot take webhooks: {why}"), LOG),
        Answer::Other(what) => {
            let todo = "end the other program there, or set api.bind to a free address";
            report.fail(check, format!("another program listens at {at}: {what}"), todo);
        }
        Answer::Nothing(why) => report.warn(check, format!("nothing listens at {at}: {why}"), START),
    }
}

/// Deliveries that came prove more than an answer to us: senders reach it.
async fn reached(report: &Report, asked: &Asked<'_>, network: &Network) {
    let check = "api.public_url";
    let Some(url) = asked.config.worker.public_url.as_ref().and_then(|url| Url::parse(url.as_str()).ok()) else {
        return;
    };
    if asked.known.heard(Source::Plane).is_some() || asked.known.heard(Source::Gitea).is_some() {
        return report.ok(check, format!("{url} is where deliveries have come"));
    }
    let todo = "see that the name leads to this machine and that the proxy passes /webhook/ and /health to orch-api (docs/OPERATING.md)";
    match report.during(check, health(&url, TIMING, network)).await {
        Answer::Ready => report.ok(check, format!("{url} leads to orch-api")),
        Answer::Unready(why) => {
            report.warn(check, format!("{url} leads to an orch-api that cannot take webhooks: {why}"), LOG)
        }
        Answer::Other(what) => report.warn(check, format!("{url} leads elsewhere: {what}"), todo),
        Answer::Nothing(why) => {
            report.warn(check, format!("{url} cannot be reached from here: {why}. Senders may have another way"), todo);
        }
    }
}

/// Where a program on this machine reaches what is bound there.
fn here(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, bind.port())
}
