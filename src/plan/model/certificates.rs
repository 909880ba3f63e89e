//! The certificates of a control plane, as kubeadm counts them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::failure::Cause;
use crate::words::ObjectName;

/// One that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// kubeadm's own: `apiserver-etcd-client`, `admin.conf`.
    pub name: ObjectName,
    pub ends: Timestamp,
    /// kubeadm has no key to renew it with.
    pub external: bool,
}

/// All that are there. kubeadm misses `super-admin.conf` on all control planes but the first, and etcd's where that is elsewhere: which of them are
/// wanted is its own affair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    pub certificates: Vec<Certificate>,
    pub authorities: Vec<Certificate>,
}

/// `kubeadm certs check-expiration -o json` (output.kubeadm.k8s.io/v1alpha3).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    certificates: Vec<Item>,
    certificate_authorities: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    name: ObjectName,
    #[serde(default)]
    expiration_date: Option<Timestamp>,
    #[serde(default)]
    externally_managed: bool,
    #[serde(default)]
    missing: bool,
}

impl Certificates {
    /// Reads what kubeadm printed: JSON, or its table.
    ///
    /// # Errors
    /// Refused: it is neither, or names no certificate.
    pub fn read(text: &str) -> Result<Certificates, Cause> {
        // It may say something about where its configuration comes from first.
        let json = if text.starts_with('{') {
            text
        } else {
            text.split_once("\n{").map_or("", |(before, _)| &text[before.len()..]).trim()
        };
        let read = if json.starts_with('{') { of_json(json)? } else { of_table(text)? };
        if read.certificates.is_empty() {
            return Err(Cause::refused("kubeadm certs check-expiration names no certificate that is there"));
        }
        Ok(read)
    }
}

fn of_json(text: &str) -> Result<Certificates, Cause> {
    let bad =
        |error: serde_json::Error| Cause::refused(format!("what kubeadm certs check-expiration says cannot be read: {error}"));
    let Document { certificates, certificate_authorities } = serde_json::from_str(text).map_err(bad)?;
    let there = |items: Vec<Item>| -> Result<Vec<Certificate>, Cause> {
        let there = items.into_iter().filter(|item| !item.missing);
        let with_end = there.map(|Item { name, expiration_date, externally_managed: external, .. }| match expiration_date {
            Some(ends) => Ok(Certificate { name, ends, external }),
            None => Err(Cause::refused(format!("kubeadm certs check-expiration says of no end of {name}"))),
        });
        with_end.collect()
    };
    Ok(Certificates { certificates: there(certificates)?, authorities: there(certificate_authorities)? })
}

/// Two tables with titles, and a line for each that is missing: columns are two blanks apart or more.
fn of_table(text: &str) -> Result<Certificates, Cause> {
    let mut read = Certificates::default();
    let mut authorities = None;
    for line in text.lines().map(str::trim) {
        let columns: Vec<&str> = line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        match (columns.as_slice(), authorities) {
            (["CERTIFICATE", "EXPIRES", ..], _) => authorities = Some(false),
            (["CERTIFICATE AUTHORITY", "EXPIRES", ..], _) => authorities = Some(true),
            ([], _) | (_, None) => {}
            _ if line.starts_with("!MISSING!") => {}
            ([name, ends, .., external], Some(authority)) => {
                let one = row(name, ends, external)
                    .ok_or_else(|| Cause::refused(format!("a line of kubeadm certs check-expiration cannot be read: {line}")))?;
                let all = if authority { &mut read.authorities } else { &mut read.certificates };
                all.push(one);
            }
            _ => return Err(Cause::refused(format!("a line of kubeadm certs check-expiration cannot be read: {line}"))),
        }
    }
    Ok(read)
}

/// `Dec 30, 2026 23:36 UTC`, and `no` or `yes`.
fn row(name: &str, ends: &str, external: &str) -> Option<Certificate> {
    let ends = DateTime::strptime("%b %d, %Y %H:%M", ends.strip_suffix(" UTC")?).ok()?;
    let external = match external {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    let ends = ends.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Certificate { name: name.parse().ok()?, ends, external })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const JSON: &str = r#"[check-expiration] Reading configuration from the cluster...
{
  "kind": "CertificateExpirationInfo",
  "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
  "certificates": [
    { "name": "apiserver", "expirationDate": "2027-07-14T12:34:00Z", "residualTime": 31536000, "externallyManaged": false, "caName": "ca" },
    { "name": "admin.conf", "expirationDate": "2027-07-14T12:34:00Z", "externallyManaged": true, "caName": "ca" },
    { "name": "super-admin.conf", "expirationDate": null, "missing": true }
  ],
  "certificateAuthorities": [{ "name": "ca", "expirationDate": "2036-07-14T12:34:00Z", "residualTime": 315360000 }]
}"#;
    const TABLE: &str = "\
[check-expiration] Reading configuration from the cluster...

CERTIFICATE                EXPIRES                  RESIDUAL TIME   CERTIFICATE AUTHORITY   EXTERNALLY MANAGED
apiserver                  Jul 14, 2027 12:34 UTC   364d            ca                      no      
admin.conf                 Jul 14, 2027 12:34 UTC   <invalid>                               yes     
!MISSING! super-admin.conf                                                                          

CERTIFICATE AUTHORITY   EXPIRES                  RESIDUAL TIME   EXTERNALLY MANAGED
ca                      Jul 14, 2036 12:34 UTC   9y              no      
";

    fn one(name: &str, ends: &str, external: bool) -> Certificate {
        Certificate { name: name.parse().unwrap(), ends: ends.parse().unwrap(), external }
    }

    #[test]
    fn both_ways_of_kubeadm_say_the_same() {
        let wanted = Certificates {
            certificates: vec![one("apiserver", "2027-07-14T12:34:00Z", false), one("admin.conf", "2027-07-14T12:34:00Z", true)],
            authorities: vec![one("ca", "2036-07-14T12:34:00Z", false)],
        };
        assert_eq!(Certificates::read(JSON).as_ref(), Ok(&wanted));
        assert_eq!(Certificates::read(TABLE).as_ref(), Ok(&wanted));
    }

    #[test]
    fn what_is_neither_is_no_answer() {
        for odd in [
            "",
            "{}",
            "{",
            "no such command",
            &JSON.replace("2027-07-14T12:34:00Z\", \"ext", "soon\", \"ext"),
            &JSON.replace("\"apiserver\"", "\"$(reboot)\""),
            &JSON.replace("\"2036-07-14T12:34:00Z\"", "null"),
            &TABLE.replace("Jul 14, 2027 12:34 UTC   364d", "soon                     364d"),
            &TABLE.replace("no      \nadmin", "perhaps \nadmin"),
        ] {
            assert!(Certificates::read(odd).is_err(), "{odd}");
        }
    }
}
