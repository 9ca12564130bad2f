//! A file that a service keeps in a storage of its own: the service names an address that lets whoever has it read the file for
//! a while. It is asked without anything of ours, and leads nowhere else.

use super::http::{Http, build_client};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use url::Url;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub bytes: Vec<u8>,
    /// As the storage says, without parameters and in small letters; may be empty.
    pub kind: String,
}

impl Http {
    /// The file at an address that the service named, of at most `most` bytes.
    ///
    /// # Errors
    /// Why it cannot be had, for people; without the address, which is a key to the file.
    pub async fn fetch(&self, address: &[u8], most: u64) -> Result<Fetched, String> {
        let url = self.stored_at(address).ok_or("Plane names no address that could be asked")?;
        let at = |e: reqwest::Error| format!("the storage at {}: {}", host(&url), causes(e));
        let client = build_client(&url, HeaderMap::new(), self.timing, &self.network).map_err(|e| e.to_string())?;
        let mut answer = client.get(url.clone()).send().await.map_err(at)?;
        if answer.status().as_u16() != 200 {
            return Err(format!("the storage at {} answers with status {}", host(&url), answer.status().as_u16()));
        }
        let too_large = || format!("larger than {} MB", most / 1_000_000);
        if answer.content_length().is_some_and(|length| length > most) {
            return Err(too_large());
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(at)? {
            if bytes.len() as u64 + chunk.len() as u64 > most {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched { bytes, kind })
    }

    /// Behind a proxy that speaks TLS the service may take itself for one that does not: its own host is asked as we ask it.
    fn stored_at(&self, address: &[u8]) -> Option<Url> {
        let mut url = self.base.join(std::str::from_utf8(address).ok().filter(|text| !text.is_empty())?).ok()?;
        let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
        if !plain || !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        if url.host() == self.base.host() && url.port().is_none() && self.base.scheme() == "https" {
            url.set_scheme("https").ok()?;
            url.set_port(self.base.port()).ok()?;
        }
        Some(url)
    }
}

fn host(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}

/// Without the address.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    why
}

/// Whether an answer sends its reader elsewhere.
pub(super) const fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::http::Timing;

    #[test]
    fn only_addresses_of_the_web_are_asked_and_our_own_host_as_we_ask_it() {
        let table = [
            (
                "https://plane.a.test",
                "http://plane.a.test/uploads/k?X-Amz-Signature=1",
                Some("https://plane.a.test/uploads/k?X-Amz-Signature=1"),
            ),
            ("https://plane.a.test", "/uploads/k", Some("https://plane.a.test/uploads/k")),
            ("https://plane.a.test:8443", "http://plane.a.test/k", Some("https://plane.a.test:8443/k")),
            ("https://plane.a.test", "http://plane.a.test:9000/k", Some("http://plane.a.test:9000/k")),
            ("https://plane.a.test", "http://s3.b.test/k", Some("http://s3.b.test/k")),
            ("http://plane.a.test", "http://plane.a.test/k", Some("http://plane.a.test/k")),
            ("http://plane.a.test", "https://me:secret@s3.b.test/k", None),
            ("http://plane.a.test", "file:///etc/passwd", None),
            ("http://plane.a.test", "data:text/plain,x", None),
            ("http://plane.a.test", "", None),
        ];
        for (base, address, expected) in table {
            let http = Http::new(base, None, "", Timing::default()).unwrap();
            assert_eq!(http.stored_at(address.as_bytes()).as_ref().map(Url::as_str), expected, "{base} {address}");
        }
    }
}
