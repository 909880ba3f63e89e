//! The program's own image: the running static binary as a one-layer archive that `ctr -n k8s.io images import` and `docker load` take.
//! The same binary gives the same bytes, and the tag is a hash of them: an image never changes under its name.

use std::fmt::Write;

use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::failure::Cause;
use crate::names::{BUILD_DIGITS, PROGRAM, USER};

const REPOSITORY: &str = "docker.io/library/k8s-upgrade";
/// The running binary, even if its file was replaced meanwhile.
pub const OWN_BINARY: &str = "/proc/self/exe";

/// An image as `ctr images import` takes it.
pub struct Image {
    /// `docker.io/library/k8s-upgrade:0123456789ab`.
    pub tag: String,
    /// The archive.
    pub bytes: Vec<u8>,
}

/// Wraps a static Linux binary. Refuses one that would need files of the machine that it was built on.
pub fn archive(binary: &[u8]) -> Result<Image, Cause> {
    let architecture = architecture(binary)?;
    let layer = layer(binary).map_err(unwritable)?;
    let config = json!({
        // A moment of its own would make every build another image.
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": { "User": format!("{USER}:{USER}"), "Entrypoint": [format!("/{PROGRAM}")], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
    })
    .to_string();
    let id = sha256(config.as_bytes());
    let tag = format!("{REPOSITORY}:{}", &id[..BUILD_DIGITS]);
    let manifest = json!([{ "Config": format!("{id}.json"), "RepoTags": [tag], "Layers": ["layer.tar"] }]).to_string();
    let files = [("manifest.json", manifest.as_bytes()), (&format!("{id}.json"), config.as_bytes()), ("layer.tar", &layer)];
    let bytes = files
        .iter()
        .try_fold(Builder::new(Vec::new()), |mut tar, (path, content)| {
            append(&mut tar, path, EntryType::Regular, 0o644, content).map(|()| tar)
        })
        .and_then(Builder::into_inner)
        .map_err(unwritable)?;
    Ok(Image { tag, bytes })
}

fn layer(binary: &[u8]) -> std::io::Result<Vec<u8>> {
    let passwd = format!("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n");
    let group = format!("root:x:0:\nnonroot:x:{USER}:\n");
    let mut tar = Builder::new(Vec::new());
    append(&mut tar, "etc/", EntryType::Directory, 0o755, &[])?;
    append(&mut tar, "etc/passwd", EntryType::Regular, 0o644, passwd.as_bytes())?;
    append(&mut tar, "etc/group", EntryType::Regular, 0o644, group.as_bytes())?;
    append(&mut tar, "tmp/", EntryType::Directory, 0o1777, &[])?;
    append(&mut tar, PROGRAM, EntryType::Regular, 0o755, binary)?;
    tar.into_inner()
}

/// One entry of root's, at the beginning of time.
fn append(tar: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, mode: u32, content: &[u8]) -> std::io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn unwritable(error: std::io::Error) -> Cause {
    Cause::bug(format!("the image cannot be written: {error}"))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The image's word for the binary's machine, if it is a static 64-bit ELF file.
fn architecture(binary: &[u8]) -> Result<&'static str, Cause> {
    const PT_INTERP: u32 = 3;
    let refused = |what: &str| {
        Cause::refused(format!("{what}, so it cannot be an image by itself"))
            .next("cargo build --release   # .cargo/config.toml of the source links it statically")
    };
    let number = |offset: u64, size: u64| -> Option<u64> {
        let begin = usize::try_from(offset).ok()?;
        let field = binary.get(begin..begin.checked_add(usize::try_from(size).ok()?)?)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    // 64 bits, little-endian: all machines that Kubernetes has packages for, but s390x.
    if binary.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(refused("this program is no 64-bit Linux binary"));
    }
    let truncated = || refused("this program's file is damaged");
    let architecture = match number(18, 2) {
        Some(62) => "amd64",
        Some(183) => "arm64",
        Some(21) => "ppc64le",
        _ => return Err(refused("this program is built for an unknown machine")),
    };
    let (table, entry, count) = (number(32, 8), number(54, 2), number(56, 2));
    let (table, entry, count) = (table.ok_or_else(truncated)?, entry.ok_or_else(truncated)?, count.ok_or_else(truncated)?);
    for index in 0..count {
        let offset = table.checked_add(index * entry).ok_or_else(truncated)?;
        if number(offset, 4).ok_or_else(truncated)? == u64::from(PT_INTERP) {
            return Err(refused("this program is linked dynamically"));
        }
    }
    Ok(architecture)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::io::Read;

    use serde_json::Value;

    use super::*;
    use crate::failure::Class;

    /// A header and `kinds.len()` program headers; a loader would refuse it, but the answer to our question is in it.
    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&u16::try_from(kinds.len()).unwrap().to_le_bytes());
        for kind in kinds {
            bytes.extend(kind.to_le_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    /// Path → (mode, uid, mtime, content).
    fn unpack(bytes: &[u8]) -> BTreeMap<String, (u32, u64, u64, Vec<u8>)> {
        let mut archive = tar::Archive::new(bytes);
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let header = entry.header();
            let facts = (header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap(), content);
            (entry.path().unwrap().to_string_lossy().into_owned(), facts)
        });
        entries.collect()
    }

    #[test]
    fn the_archive_reads_back() {
        let binary = elf(62, &[6, 1, 1]);
        let image = archive(&binary).unwrap();
        let files = unpack(&image.bytes);
        let manifest: Value = serde_json::from_slice(&files["manifest.json"].3).unwrap();
        assert_eq!(manifest[0]["RepoTags"], json!([image.tag]));
        let config_name = manifest[0]["Config"].as_str().unwrap();
        let config = &files[config_name].3;
        assert_eq!(config_name, format!("{}.json", sha256(config)));
        assert_eq!(image.tag, format!("docker.io/library/k8s-upgrade:{}", &config_name[..12]));
        let config: Value = serde_json::from_slice(config).unwrap();
        let layer = &files[manifest[0]["Layers"][0].as_str().unwrap()].3;
        assert_eq!(config["rootfs"]["diff_ids"], json!([format!("sha256:{}", sha256(layer))]));
        assert_eq!(config["config"]["Entrypoint"], json!(["/k8s-upgrade"]));
        assert_eq!((&config["config"]["User"], &config["architecture"]), (&json!("65532:65532"), &json!("amd64")));
        let files = unpack(layer);
        let modes: Vec<_> = files.iter().map(|(path, (mode, uid, mtime, _))| (path.as_str(), *mode, *uid, *mtime)).collect();
        let expected = [
            ("etc/", 0o755, 0, 0),
            ("etc/group", 0o644, 0, 0),
            ("etc/passwd", 0o644, 0, 0),
            ("k8s-upgrade", 0o755, 0, 0),
            ("tmp/", 0o1777, 0, 0),
        ];
        assert_eq!(modes, expected);
        assert_eq!(files["k8s-upgrade"].3, binary);
    }

    #[test]
    fn the_same_binary_is_the_same_image_and_another_is_not() {
        let (one, again) = (archive(&elf(62, &[1])).unwrap(), archive(&elf(62, &[1])).unwrap());
        assert!(one.tag == again.tag && one.bytes == again.bytes);
        assert_ne!(one.tag, archive(&elf(62, &[1, 1])).unwrap().tag);
        assert_ne!(one.tag, archive(&elf(183, &[1])).unwrap().tag);
    }

    #[test]
    fn what_cannot_run_alone_is_refused_with_advice() {
        let mut cut = elf(62, &[1, 1]);
        cut.truncate(100);
        let mut far = elf(62, &[1]);
        far[32..40].copy_from_slice(&u64::MAX.to_le_bytes());
        let cases = [
            (elf(62, &[6, 3, 1]), "dynamically"),
            (std::fs::read("/bin/sh").unwrap(), "dynamically"),
            (b"#!/bin/sh\n".to_vec(), "no 64-bit Linux binary"),
            (Vec::new(), "no 64-bit Linux binary"),
            (elf(3, &[1]), "unknown machine"),
            (cut, "damaged"),
            (far, "damaged"),
        ];
        for (binary, word) in cases {
            let cause = archive(&binary).map(|image| image.tag).unwrap_err();
            assert!(cause.class == Class::Refused && cause.what.contains(word), "{cause}");
            assert!(cause.next[0].command.contains("cargo build"), "{cause:?}");
        }
    }
}
