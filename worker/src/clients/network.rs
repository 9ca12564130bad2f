//! How the services are reached: own authorities and a proxy, the same for the APIs and for git. Loopback is never sent through a
//! proxy, which could not reach it.

use super::error::ApiError;
use orch_common::config::NetworkConfig;
use reqwest::{Certificate, NoProxy, Proxy};
use std::path::Path;

/// Never through a proxy.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.0/8", "::1"];
/// Git takes no networks.
const LOOPBACK_OF_GIT: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// Where distributions keep the system's authorities, by the hashes of their names.
const SYSTEM_CERTIFICATES: &str = "/etc/ssl/certs";

/// What the installation says of the network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    authorities: Vec<Certificate>,
    proxy: Option<(Proxy, String)>,
    no_proxy: Vec<String>,
    ca_file: Option<String>,
}

impl Network {
    /// Reads the file of the authorities.
    ///
    /// # Errors
    /// [`ApiError::Refused`] with status 0, naming the setting.
    pub fn of(config: &NetworkConfig) -> Result<Network, ApiError> {
        let NetworkConfig { ca_file, proxy, no_proxy } = config;
        let authorities = ca_file.as_deref().map(read).transpose()?.unwrap_or_default();
        let ca_file = ca_file.as_deref().map(absolute).transpose()?;
        let made = |address: &str| {
            let proxy = Proxy::all(address).map_err(|e| unusable(&format!("network.proxy cannot be used: {e}")))?;
            let around = LOOPBACK.iter().copied().chain(no_proxy.iter().map(String::as_str));
            Ok(proxy.no_proxy(NoProxy::from_string(&around.collect::<Vec<_>>().join(","))))
        };
        let proxy = proxy.as_ref().map(|url| Ok((made(url.as_str())?, url.as_str().to_owned()))).transpose()?;
        Ok(Network { authorities, proxy, no_proxy: no_proxy.clone(), ca_file })
    }

    /// There is nothing to say.
    pub fn is_plain(&self) -> bool {
        self.authorities.is_empty() && self.proxy.is_none()
    }

    /// The certificates that are trusted besides the system's.
    pub(super) fn authorities(&self) -> Vec<Certificate> {
        self.authorities.clone()
    }

    pub(super) fn proxy(&self) -> Option<Proxy> {
        self.proxy.as_ref().map(|(proxy, _)| proxy.clone())
    }

    /// The same for git and what it starts (git-lfs).
    pub fn git_env(&self) -> Vec<(String, String)> {
        let mut env = Vec::new();
        let mut set = |name: &str, value: &str| env.push((name.to_owned(), value.to_owned()));
        if let Some(file) = &self.ca_file {
            set("GIT_SSL_CAINFO", file);
            if Path::new(SYSTEM_CERTIFICATES).is_dir() {
                set("GIT_SSL_CAPATH", SYSTEM_CERTIFICATES);
            }
        }
        match &self.proxy {
            Some((_, address)) => {
                let around = LOOPBACK_OF_GIT.iter().copied().chain(self.no_proxy.iter().map(String::as_str));
                set("http_proxy", address);
                set("https_proxy", address);
                set("no_proxy", &around.collect::<Vec<_>>().join(","));
            }
            None => self.inherit(&mut set),
        }
        env
    }

    /// The proxy of the environment, which the APIs' client takes by itself.
    fn inherit(&self, set: &mut impl FnMut(&str, &str)) {
        let of = |names: [&str; 2]| names.iter().find_map(|n| std::env::var(n).ok()).filter(|v| !v.trim().is_empty());
        let proxies = [
            ("http_proxy", of(["http_proxy", "HTTP_PROXY"])),
            ("https_proxy", of(["https_proxy", "HTTPS_PROXY"])),
            ("all_proxy", of(["all_proxy", "ALL_PROXY"])),
        ];
        let mut any = false;
        for (name, value) in proxies {
            if let Some(value) = value {
                set(name, &value);
                any = true;
            }
        }
        if any {
            let given = of(["no_proxy", "NO_PROXY"]).unwrap_or_default();
            let around =
                LOOPBACK_OF_GIT.iter().copied().chain(given.split(',').map(str::trim).filter(|h| !h.is_empty()));
            set("no_proxy", &around.collect::<Vec<_>>().join(","));
        }
    }
}

fn unusable(why: &str) -> ApiError {
    ApiError::Refused { status: 0, body: why.to_owned() }
}

fn read(file: &Path) -> Result<Vec<Certificate>, ApiError> {
    let of = |why: &str| unusable(&format!("network.ca_file {}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|e| of(&e.to_string()))?;
    match Certificate::from_pem_bundle(&text) {
        Ok(found) if found.is_empty() => Err(of("there is no certificate in it (PEM is wanted)")),
        Ok(found) => Ok(found),
        Err(error) => Err(of(&format!("no certificates in PEM: {error}"))),
    }
}

/// Git runs elsewhere than we do.
fn absolute(file: &Path) -> Result<String, ApiError> {
    let found = std::path::absolute(file).ok().and_then(|path| path.into_os_string().into_string().ok());
    found.ok_or_else(|| unusable("network.ca_file: its path cannot be given to git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(network: &Network, name: &str) -> Option<String> {
        network.git_env().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    #[test]
    fn git_is_told_the_same_and_loopback_needs_no_proxy() {
        let config = NetworkConfig {
            proxy: Some("http://proxy.example:3128".parse().unwrap()),
            no_proxy: vec!["git.lan".into()],
            ca_file: None,
        };
        let network = Network::of(&config).unwrap();
        assert_eq!(env(&network, "https_proxy").as_deref(), Some("http://proxy.example:3128"));
        assert_eq!(env(&network, "http_proxy"), env(&network, "https_proxy"));
        assert_eq!(env(&network, "no_proxy").as_deref(), Some("localhost,127.0.0.1,::1,git.lan"));
        assert_eq!(env(&network, "GIT_SSL_CAINFO"), None);
        assert!(network.proxy().is_some() && !network.is_plain());
    }

    #[test]
    fn a_file_of_authorities_is_read_at_once_and_what_is_wrong_names_the_setting() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let of = |ca_file: &Path| {
            Network::of(&NetworkConfig { ca_file: Some(ca_file.to_owned()), ..NetworkConfig::default() })
        };
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, text).unwrap();
            let error = of(&file).unwrap_err().to_string();
            assert!(error.contains("network.ca_file") && error.contains("PEM"), "{error}");
        }
        let error = of(&dir.path().join("none.pem")).unwrap_err().to_string();
        assert!(error.contains("network.ca_file") && error.contains("No such file"), "{error}");
    }
}
