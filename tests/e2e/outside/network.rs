//! One setting for an own authority and a proxy: the APIs' clients and git obey it alike.

use super::place::{NO_PROXY, Place, line};
use orch_common::config::NetworkConfig;
use orch_tests::fakes::FakeGitea;
use orch_worker::clients::causes::{Asked, Cause, What, diagnose};
use orch_worker::clients::gitea::{GiteaClient, GiteaSettings};
use orch_worker::clients::{ApiError, Network};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

/// TLS before a plain server, one request a connection; gives its port.
fn tls_before(plain: &str) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = vec![CertificateDer::from_pem_file(fixture("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let (config, plain) = (Arc::new(config), plain.trim_start_matches("http://").to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that does not trust us ends the connection.
            let _ = pass_on(stream, Arc::clone(&config), &plain);
        }
    });
    port
}

fn pass_on(stream: TcpStream, config: Arc<rustls::ServerConfig>, plain: &str) -> std::io::Result<()> {
    let session = rustls::ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut tls = rustls::StreamOwned::new(session, stream);
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        tls.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
    let mut behind = TcpStream::connect(plain)?;
    behind.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    behind.read_to_end(&mut answer)?;
    tls.write_all(&answer)?;
    tls.conn.send_close_notify();
    tls.flush()
}

async fn version(url: &str, network: &Network) -> Result<String, ApiError> {
    let settings = GiteaSettings { url: url.into(), owner: String::new(), token: FakeGitea::TOKEN.into() };
    Ok(GiteaClient::new(settings)?.through(network)?.version().await?.raw)
}

#[tokio::test]
async fn an_own_authority_is_trusted_once_it_is_named() {
    let forge = FakeGitea::start();
    let port = tls_before(forge.url());
    let own = Network::of(&NetworkConfig { ca_file: Some(fixture("ca.pem")), ..NetworkConfig::default() }).unwrap();
    let plain = Network::default();
    let cause = |error: &ApiError| diagnose(&Asked::forge(What::Server), error).cause;

    let url = format!("https://127.0.0.1:{port}");
    let error = version(&url, &plain).await.unwrap_err();
    assert_eq!(cause(&error), Cause::CertificateUntrusted, "{error}");
    assert_eq!(version(&url, &own).await.unwrap(), "1.26.0");
    let env = own.git_env();
    let file = env.iter().find(|(name, _)| name == "GIT_SSL_CAINFO").map(|(_, value)| value.clone());
    assert_eq!(file, fixture("ca.pem").to_str().map(str::to_owned), "git is told the same");

    // The certificate is for 127.0.0.1 and localhost.
    let error = version(&format!("https://[::ffff:127.0.0.1]:{port}"), &own).await.unwrap_err();
    assert_eq!(cause(&error), Cause::CertificateOfOther, "{error}");
    let error = version(&format!("https://{}", forge.url().trim_start_matches("http://")), &own).await.unwrap_err();
    assert_eq!(cause(&error), Cause::WrongScheme, "{error}");
}

#[test]
fn a_proxy_is_used_by_the_apis_and_by_git_and_not_for_loopback() {
    let place = Place::new();
    let url = format!("[gitea]\nurl = \"{}\"", place.gitea.url());
    let through = format!("proxy = \"{}\"", place.gitea.url());
    let remote = format!("remote = \"{}/widgets.git\"\n", place.dir.path().display());
    let place = place.with(&url, "[gitea]\nurl = \"http://forge.example\"").with(NO_PROXY, &through).with(&remote, "");
    let (lines, _) = place.examine();
    assert_eq!(line(&lines, "gitea").0, "ok", "{lines:#?}");
    assert_eq!(line(&lines, "plane.token").0, "ok", "loopback needs none: {lines:#?}");
    let requests = place.gitea.requests();
    let git = requests.iter().find(|r| r.path.ends_with("/acme/widgets.git/info/refs"));
    assert!(git.is_some(), "{:?}", requests.iter().map(|r| r.path.clone()).collect::<Vec<_>>());
}

#[test]
fn a_file_of_authorities_that_cannot_be_read_is_said_by_the_settings_name() {
    let place = Place::new().with(NO_PROXY, "ca_file = \"/nowhere/ca.pem\"");
    let (lines, code) = place.examine();
    let (level, said) = line(&lines, "services");
    assert_eq!((level, code), ("FAIL", 1));
    assert!(said.contains("network.ca_file /nowhere/ca.pem"), "{said}");
}
