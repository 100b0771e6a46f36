//! Which certificate authorities are trusted.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The certificate authorities of a client: the usual ones, and those of a file.
#[derive(Clone)]
pub struct TlsAuthorities(RootCertStore);

#[derive(Debug, thiserror::Error)]
pub enum BadCertificates {
    #[error("the file of certificates cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("the file has no certificates in PEM: {0:?}")]
    Pem(pem::Error),
    #[error("a certificate of the file is not valid: {0}")]
    Certificate(#[from] rustls::Error),
}

impl TlsAuthorities {
    /// The usual certificate authorities.
    #[must_use]
    pub fn usual() -> Self {
        Self(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// Adds those in a file, in PEM.
    ///
    /// # Errors
    /// The file has no valid certificates.
    pub fn with_file(mut self, file: &Path) -> Result<Self, BadCertificates> {
        let text = std::fs::read(file)?;
        let before = self.0.len();
        for certificate in CertificateDer::pem_slice_iter(&text) {
            self.0.add(certificate.map_err(BadCertificates::Pem)?)?;
        }
        if self.0.len() == before {
            return Err(BadCertificates::Pem(pem::Error::NoItemsFound));
        }
        Ok(self)
    }

    pub(crate) fn connector(&self) -> Result<TlsConnector, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(self.0.clone());
        Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
    }
}

impl std::fmt::Debug for TlsAuthorities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} certificate authorities", self.0.len())
    }
}
