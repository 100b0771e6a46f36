//! Where a request goes.

use url::Url;

/// An address of HTTP, in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// The host as the request names it.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    #[error("{0} is not an address like https://live.example.com")]
    Syntax(String),
    #[error("the address has a user or password; pass them beside it")]
    Credentials,
}

impl HttpAddress {
    /// The address of `path` below the service's address, with these parameters.
    ///
    /// # Errors
    /// The service's address is none of HTTP.
    pub fn parse(
        service: &str,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Self, BadAddress> {
        let bad = || BadAddress::Syntax(service.to_owned());
        let mut url = Url::parse(service).map_err(|_| bad())?;
        let is_tls = url.scheme() == "https";
        if !is_tls && url.scheme() != "http" {
            return Err(bad());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadAddress::Credentials);
        }
        let below = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{below}{path}"));
        url.set_query(None);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let host = url.host_str().ok_or_else(bad)?;
        let query = url.query().map(|query| format!("?{query}"));
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_or_known_default().ok_or_else(bad)?,
            is_tls,
            authority: url[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            target: format!("{}{}", url.path(), query.unwrap_or_default()),
        })
    }

    /// Host and port.
    pub(crate) fn socket(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

impl std::fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_a_port_and_a_target() {
        let of = |service| HttpAddress::parse(service, "/stream/user", &[("types", "a:*,b")]);
        let local = of("http://127.0.0.1:8080").unwrap();
        assert_eq!(
            (&local.host[..], local.port, local.is_tls),
            ("127.0.0.1", 8080, false)
        );
        assert_eq!(local.authority, "127.0.0.1:8080");
        assert_eq!(local.target, "/stream/user?types=a%3A*%2Cb");
        let remote = of("https://Live.example.com/crm/").unwrap();
        assert_eq!(
            (&remote.host[..], remote.port, remote.is_tls),
            ("live.example.com", 443, true)
        );
        assert_eq!(remote.authority, "live.example.com");
        assert_eq!(remote.target, "/crm/stream/user?types=a%3A*%2Cb");
        let v6 = of("http://[::1]:80").unwrap();
        assert_eq!((&v6.host[..], &v6.authority[..]), ("::1", "[::1]"));
        assert_eq!(
            (v6.socket(), local.socket()),
            ("[::1]:80".to_owned(), "127.0.0.1:8080".to_owned())
        );
        for bad in ["live.example.com", "ftp://x", "", "http://"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        assert_eq!(of("http://ann:secret@x"), Err(BadAddress::Credentials));
    }
}
