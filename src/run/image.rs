//! The program's own image: static binaries, one a machine's architecture, as one archive in both forms that there are: an OCI layout (`ctr`,
//! `skopeo` and `podman` take it, and it alone can hold several architectures) and Docker's own, which share their layers. The same binaries give
//! the same bytes, and the tag is made of hashes of them: an image never changes under its name.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::failure::Cause;
use crate::names::{BUILD_DIGITS, PROGRAM, USER};

const REPOSITORY: &str = "docker.io/library/k8s-upgrade";
/// The running binary, even if its file was replaced meanwhile.
pub const OWN_BINARY: &str = "/proc/self/exe";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Says in an OCI layout what the image is called; of the next containerd knows the whole name.
const TAG_ANNOTATION: &str = "org.opencontainers.image.ref.name";
const NAME_ANNOTATION: &str = "io.containerd.image.name";

/// An image as `ctr images import` takes it.
pub struct Image {
    /// `docker.io/library/k8s-upgrade:0123456789ab`; of several architectures with the hash of each: `…:0123456789ab-ba9876543210`.
    pub tag: String,
    /// Which it is for: `amd64`, `arm64`.
    pub architectures: Vec<&'static str>,
    /// The archive.
    pub bytes: Vec<u8>,
}

/// Wraps a static Linux binary. Refuses one that would need files of the machine that it was built on.
pub fn archive(binary: &[u8]) -> Result<Image, Cause> {
    archive_of(&[("this program", binary)])
}

/// What the image of a binary would be called, without making it.
pub fn name(binary: &[u8]) -> Result<String, Cause> {
    struct Hashed(Sha256);
    impl io::Write for Hashed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let architecture = architecture("this program", binary)?;
    let Hashed(layer) = layer(binary, Hashed(Sha256::new())).map_err(unwritable)?;
    let config = config(architecture, &hex(&layer.finalize()));
    Ok(format!("{REPOSITORY}:{}", build(&sha256(config.as_bytes()))))
}

/// The same of several, each for another architecture and with what people call it; the first is what Docker's form holds.
///
/// # Errors
/// Refused: one cannot run alone, or two are for one architecture.
pub fn archive_of(binaries: &[(&str, &[u8])]) -> Result<Image, Cause> {
    let mut layout = Layout::default();
    let mut architectures: Vec<&'static str> = Vec::new();
    for (name, binary) in binaries {
        let architecture = architecture(name, binary)?;
        if architectures.contains(&architecture) {
            return Err(Cause::refused(format!("{name} is for {architecture}, and so is another: one image holds one for each")));
        }
        architectures.push(architecture);
        layout.add(architecture, binary)?;
    }
    let tag = layout.builds.join("-");
    Ok(Image { bytes: layout.archive(&tag)?, tag: format!("{REPOSITORY}:{tag}"), architectures })
}

/// Blobs by their hashes, and what is made of them.
#[derive(Default)]
struct Layout {
    blobs: BTreeMap<String, Vec<u8>>,
    /// Descriptors of the manifests.
    manifests: Vec<Value>,
    /// The tag's parts.
    builds: Vec<String>,
    /// Config and layer of the first, by their paths.
    first: Option<(String, String)>,
}

impl Layout {
    fn add(&mut self, architecture: &str, binary: &[u8]) -> Result<(), Cause> {
        let layer = self.blob(LAYER, layer(binary, Vec::new()).map_err(unwritable)?);
        let config = self.blob(CONFIG, config(architecture, hash(&layer)).into_bytes());
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
        let mut manifest = self.blob(MANIFEST, manifest.to_string().into_bytes());
        manifest["platform"] = json!({ "architecture": architecture, "os": "linux" });
        self.manifests.push(manifest);
        self.builds.push(build(hash(&config)));
        self.first.get_or_insert((path(&config), path(&layer)));
        Ok(())
    }

    /// Keeps it, and says what it is.
    fn blob(&mut self, kind: &str, content: Vec<u8>) -> Value {
        let digest = sha256(&content);
        let descriptor = json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len() });
        self.blobs.insert(digest, content);
        descriptor
    }

    fn archive(mut self, tag: &str) -> Result<Vec<u8>, Cause> {
        let name = format!("{REPOSITORY}:{tag}");
        let mut named = match self.manifests.as_slice() {
            [one] => one.clone(),
            several => {
                let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": several });
                self.blob(INDEX, index.to_string().into_bytes())
            }
        };
        named["annotations"] = json!({ NAME_ANNOTATION: name, TAG_ANNOTATION: tag });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [named] }).to_string();
        let docker = self.first.map(|(config, layer)| json!([{ "Config": config, "RepoTags": [name], "Layers": [layer] }]));
        let (layout, docker) = (r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned(), docker.unwrap_or_default().to_string());
        let mut tar = Builder::new(Vec::new());
        for (path, content) in [("oci-layout", layout), ("index.json", index), ("manifest.json", docker)] {
            append(&mut tar, path, EntryType::Regular, 0o644, content.as_bytes()).map_err(unwritable)?;
        }
        for (digest, content) in &self.blobs {
            append(&mut tar, &format!("blobs/sha256/{digest}"), EntryType::Regular, 0o644, content).map_err(unwritable)?;
        }
        tar.into_inner().map_err(unwritable)
    }
}

fn hash(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:")).unwrap_or_default()
}

fn path(descriptor: &Value) -> String {
    format!("blobs/sha256/{}", hash(descriptor))
}

/// What an image of one architecture says of itself, by the hash of its layer.
fn config(architecture: &str, layer: &str) -> String {
    let config = json!({
        // A moment of its own would make every build another image.
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": { "User": format!("{USER}:{USER}"), "Entrypoint": [format!("/{PROGRAM}")], "WorkingDir": "/" },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer}")] },
    });
    config.to_string()
}

/// The part of the tag that stands for one architecture, by the hash of its config.
fn build(config: &str) -> String {
    config.chars().take(BUILD_DIGITS).collect()
}

fn layer<W: io::Write>(binary: &[u8], out: W) -> io::Result<W> {
    let passwd = format!("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n");
    let group = format!("root:x:0:\nnonroot:x:{USER}:\n");
    let mut tar = Builder::new(out);
    append(&mut tar, "etc/", EntryType::Directory, 0o755, &[])?;
    append(&mut tar, "etc/passwd", EntryType::Regular, 0o644, passwd.as_bytes())?;
    append(&mut tar, "etc/group", EntryType::Regular, 0o644, group.as_bytes())?;
    append(&mut tar, "tmp/", EntryType::Directory, 0o1777, &[])?;
    append(&mut tar, PROGRAM, EntryType::Regular, 0o755, binary)?;
    tar.into_inner()
}

/// One entry of root's, at the beginning of time.
fn append<W: io::Write>(tar: &mut Builder<W>, path: &str, kind: EntryType, mode: u32, content: &[u8]) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

fn unwritable(error: io::Error) -> Cause {
    Cause::bug(format!("the image cannot be written: {error}"))
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The image's word for the binary's machine, if it is a static 64-bit ELF file. `name`: what people call it.
fn architecture(name: &str, binary: &[u8]) -> Result<&'static str, Cause> {
    const PT_INTERP: u32 = 3;
    let refused = |what: &str| {
        Cause::refused(format!("{name}{what}, so it cannot be an image by itself"))
            .next("cargo build --release   # .cargo/config.toml of the source links it statically")
    };
    let number = |offset: u64, size: u64| -> Option<u64> {
        let begin = usize::try_from(offset).ok()?;
        let field = binary.get(begin..begin.checked_add(usize::try_from(size).ok()?)?)?;
        Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    // 64 bits, little-endian: all machines that Kubernetes has packages for, but s390x.
    if binary.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(refused(" is no 64-bit Linux binary"));
    }
    let truncated = || refused(" is damaged");
    let architecture = match number(18, 2) {
        Some(62) => "amd64",
        Some(183) => "arm64",
        Some(21) => "ppc64le",
        _ => return Err(refused(" is built for an unknown machine")),
    };
    let (table, entry, count) = (number(32, 8), number(54, 2), number(56, 2));
    let (table, entry, count) = (table.ok_or_else(truncated)?, entry.ok_or_else(truncated)?, count.ok_or_else(truncated)?);
    for index in 0..count {
        let offset = table.checked_add(index * entry).ok_or_else(truncated)?;
        if number(offset, 4).ok_or_else(truncated)? == u64::from(PT_INTERP) {
            return Err(refused(" is linked dynamically"));
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

    fn json_of(files: &BTreeMap<String, (u32, u64, u64, Vec<u8>)>, path: &str) -> Value {
        let content = &files[path].3;
        if let Some(digest) = path.strip_prefix("blobs/sha256/") {
            assert_eq!(sha256(content), digest);
        }
        serde_json::from_slice(content).unwrap()
    }

    /// What a descriptor is of, once it was held against it.
    fn blob(files: &BTreeMap<String, (u32, u64, u64, Vec<u8>)>, descriptor: &Value) -> Value {
        assert_eq!(files[&path(descriptor)].3.len(), usize::try_from(descriptor["size"].as_u64().unwrap()).unwrap());
        json_of(files, &path(descriptor))
    }

    #[test]
    fn its_name_is_known_without_it() {
        let binary = elf(183, &[6, 1, 1]);
        assert_eq!(name(&binary).unwrap(), archive(&binary).unwrap().tag);
        assert_eq!(name(b"#!/bin/sh").unwrap_err().class, Class::Refused);
    }

    #[test]
    fn the_archive_reads_back_in_both_forms() {
        let binary = elf(62, &[6, 1, 1]);
        let image = archive(&binary).unwrap();
        let files = unpack(&image.bytes);
        assert_eq!(files.len(), 6, "{:?}", files.keys());
        let docker = json_of(&files, "manifest.json")[0].clone();
        assert_eq!(docker["RepoTags"], json!([image.tag]));
        assert_eq!(json_of(&files, "oci-layout")["imageLayoutVersion"], "1.0.0");
        let named = json_of(&files, "index.json")["manifests"][0].clone();
        assert_eq!(
            (&named["annotations"][NAME_ANNOTATION], &named["platform"]["architecture"]),
            (&json!(image.tag), &json!("amd64"))
        );
        let manifest = blob(&files, &named);
        assert_eq!((&manifest["mediaType"], &named["mediaType"]), (&json!(MANIFEST), &json!(MANIFEST)));
        assert_eq!(docker["Config"], path(&manifest["config"]));
        assert_eq!(docker["Layers"], json!([path(&manifest["layers"][0])]));
        assert_eq!(image.tag, format!("docker.io/library/k8s-upgrade:{}", &hash(&manifest["config"])[..12]));
        let config = blob(&files, &manifest["config"]);
        assert_eq!(config["rootfs"]["diff_ids"], json!([manifest["layers"][0]["digest"]]));
        assert_eq!(config["config"]["Entrypoint"], json!(["/k8s-upgrade"]));
        assert_eq!((&config["config"]["User"], &config["architecture"]), (&json!("65532:65532"), &json!("amd64")));
        let layer = &files[&path(&manifest["layers"][0])].3;
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

    /// One name on machines of every kind; each takes its own binary.
    #[test]
    fn several_architectures_are_one_image() {
        let (amd, arm) = (elf(62, &[1]), elf(183, &[1, 1]));
        let image = archive_of(&[("this program", &amd), ("arm", &arm)]).unwrap();
        assert_eq!(image.architectures, ["amd64", "arm64"]);
        let own = |binary: &[u8]| archive(binary).unwrap().tag.rsplit(':').next().unwrap().to_owned();
        let tag = image.tag.rsplit(':').next().unwrap();
        assert_eq!(tag, format!("{}-{}", own(&amd), own(&arm)));
        let files = unpack(&image.bytes);
        let named = json_of(&files, "index.json")["manifests"].clone();
        assert_eq!(named.as_array().unwrap().len(), 1);
        let index = blob(&files, &named[0]);
        let of: Vec<(Value, Value)> = index["manifests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let config = blob(&files, &blob(&files, one)["config"]);
                (one["platform"]["architecture"].clone(), config["architecture"].clone())
            })
            .collect();
        assert_eq!(of, [(json!("amd64"), json!("amd64")), (json!("arm64"), json!("arm64"))]);
        // Docker's form knows one alone: the first.
        let config = json_of(&files, json_of(&files, "manifest.json")[0]["Config"].as_str().unwrap());
        assert_eq!(config["architecture"], "amd64");
        let twice = archive_of(&[("this program", &amd), ("other", &amd)]).map(|image| image.tag).unwrap_err();
        assert!(twice.class == Class::Refused && twice.what.contains("other is for amd64"), "{twice}");
        let odd = archive_of(&[("this program", &amd), ("/tmp/x", b"#!")]).map(|image| image.tag).unwrap_err();
        assert!(odd.what.starts_with("/tmp/x is no 64-bit Linux binary"), "{odd}");
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
