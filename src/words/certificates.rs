//! Certificates of authorities, as a person gives them: public, and no place for a private key.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use x509_cert::Certificate;
use x509_cert::der::{DecodePem, Encode};

/// Bytes of all of them; a bundle of a company has a handful.
const LONGEST: usize = 64 << 10;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Who may vouch for a server, as PEM: one certificate or more. A request that carries them among its extensions trusts these and no others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Certificates {
    text: String,
    der: Arc<[Vec<u8>]>,
}

impl Certificates {
    /// Each as DER.
    pub fn der(&self) -> &[Vec<u8>] {
        &self.der
    }
}

impl FromStr for Certificates {
    /// What is wrong; never a part of the text, which may be a private key by mistake.
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "certificates of the authority are wanted as PEM, from -----BEGIN CERTIFICATE----- on";
        if text.len() > LONGEST {
            return Err(format!("{wanted}, {} KiB at most", LONGEST >> 10));
        }
        let mut labels = text.lines().filter_map(|line| line.trim().strip_prefix("-----BEGIN "));
        if let Some(label) = labels.find(|label| *label != "CERTIFICATE-----") {
            let key = if label.contains("PRIVATE KEY") { ": a private key has no place here" } else { "" };
            return Err(format!("{wanted}, and nothing else{key}"));
        }
        // What stands before a certificate is a comment, as bundles have them.
        let blocks = text.match_indices(BEGIN).map(|(at, _)| {
            let end = text[at..].find(END).map(|end| at + end + END.len());
            end.map_or(&text[at..], |end| &text[at..end])
        });
        let read = |block: &str| Certificate::from_pem(block.as_bytes()).and_then(|certificate| certificate.to_der());
        let der: Result<Vec<_>, _> = blocks.map(read).collect();
        let der = der.map_err(|error| format!("{wanted}: {error}"))?;
        if der.is_empty() {
            return Err(wanted.to_owned());
        }
        Ok(Certificates { text: text.to_owned(), der: der.into() })
    }
}

impl fmt::Display for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Certificates {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Certificates {}

super::as_text!(Certificates);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ONE: &str = include_str!("../../tests/offline/tls/ca.pem");

    #[test]
    fn one_or_more_certificates_are_read() {
        let one: Certificates = ONE.parse().unwrap();
        assert_eq!((one.der().len(), one.to_string()), (1, ONE.to_owned()));
        assert_eq!(
            format!("# ours\n{ONE}\n# theirs\n{}", ONE.replace('\n', "\r\n")).parse::<Certificates>().unwrap().der().len(),
            2
        );
    }

    #[test]
    fn a_private_key_is_refused_and_not_repeated() {
        let key = "-----BEGIN PRIVATE KEY-----\nTWVhbnQ=\n-----END PRIVATE KEY-----\n";
        for text in [key.to_owned(), format!("{ONE}{key}"), key.replace("PRIVATE", "EC PRIVATE")] {
            let error = text.parse::<Certificates>().unwrap_err();
            assert!(error.contains("a private key has no place here") && !error.contains("TWVhbnQ"), "{error}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let cut = &ONE[..ONE.len() / 2];
        let other = ONE.replace("MII", "AAA");
        let long = ONE.repeat(LONGEST / ONE.len() + 1);
        for text in [
            "",
            " ",
            "\n",
            "ca.pem",
            "/etc/ssl/ca.pem",
            cut,
            &other,
            &long,
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        ] {
            assert!(text.parse::<Certificates>().unwrap_err().contains("as PEM"), "{text}");
        }
    }
}
