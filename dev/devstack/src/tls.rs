//! Certificates for test servers, signed by a private authority.

use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tokio_rustls::{TlsAcceptor, rustls};

/// A certificate authority with a new key.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Creates a key and a self-signed certificate.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// The authority's certificate, for clients that should trust it.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these host names or addresses and its key, both as PEM.
    pub fn certificate(&self, names: &[&str]) -> Result<(String, String)> {
        let (certificate, key) = self.sign(names)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }

    fn sign(&self, names: &[&str]) -> Result<(Certificate, KeyPair)> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate()?;
        Ok((CertificateParams::new(names)?.signed_by(&key, &self.issuer)?, key))
    }

    /// An acceptor for servers with these host names or addresses.
    pub fn acceptor(&self, names: &[&str]) -> Result<TlsAcceptor> {
        let (certificate, key) = self.sign(names)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key.into())
            .context("using the new certificate")?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
