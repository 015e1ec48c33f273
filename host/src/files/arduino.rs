//! A library for Arduino and PlatformIO around a model of integers: the C header, the manifests, and a sketch.
//!
//! Sources: the Arduino library specification, revision 1.5 and later; PlatformIO's `library.json`.

use std::fs;
use std::path::Path;

use anyhow::{anyhow, bail};

use crate::files::c_sampler::CSampler;
use crate::files::run::replace;

const PROPERTIES: &str = include_str!("arduino/library.properties");
const MANIFEST: &str = include_str!("arduino/library.json");
const LICENSES: [&str; 2] = [include_str!("../../../LICENSE-MIT"), include_str!("../../../LICENSE-APACHE")];
const SKETCH: &str = include_str!("arduino/Names.ino");

/// The file that describes a library to Arduino and identifies an earlier export; and the sketch, which the user may
/// edit.
const DESCRIPTION: &str = "library.properties";
const EXAMPLE: &str = "examples/Names/Names.ino";

/// The files of a library, by their paths in its folder.
pub(crate) fn library(sampler: &CSampler) -> Vec<(String, String)> {
    let name = sampler.prefix.word();
    // Every program finds this header between the system's, so its name is unlike theirs: string_model.h hides no
    // string.h.
    let header = format!("{name}_model.h");
    let filled = |template: &str| {
        let named = sampler.prefix.apply(template).replace("@HEADER@", &header);
        named.replace("@NAME@", name).replace("@TITLE@", &sampler.title())
    };
    let [mit, apache] = LICENSES.map(str::to_owned);
    vec![
        (DESCRIPTION.to_owned(), filled(PROPERTIES)),
        ("library.json".to_owned(), filled(MANIFEST)),
        ("LICENSE-MIT".to_owned(), mit),
        ("LICENSE-APACHE".to_owned(), apache),
        (format!("src/{header}"), sampler.header()),
        (EXAMPLE.to_owned(), filled(SKETCH)),
    ]
}

/// Writes `files` into `folder`, which is created if absent. In an earlier library of an equal name they replace all
/// files but the sketch.
///
/// # Errors
/// `folder` holds anything else, which stays unchanged.
pub(crate) fn write(folder: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if folder.exists() && !is_empty() && !is_earlier(folder, files) {
        bail!(
            "{} exists and was not made by an earlier export of this library, so nothing was written there; \
             name a new folder with --out",
            folder.display()
        );
    }
    for (name, text) in files {
        let path = folder.join(name);
        if name == EXAMPLE && path.exists() {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| {
                anyhow!(
                    "cannot create the folder {}: {error}; give another place with --out",
                    parent.display()
                )
            })?;
        }
        replace(&path, text.as_bytes())?;
    }
    Ok(())
}

/// Whether `folder` is a library with the name and author of `files`.
fn is_earlier(folder: &Path, files: &[(String, String)]) -> bool {
    let there = fs::read_to_string(folder.join(DESCRIPTION)).unwrap_or_default();
    let ours = files.iter().find(|(name, _)| name == DESCRIPTION).map_or("", |(_, text)| text);
    ["name=", "author="].iter().all(|key| {
        let line = |text: &str| text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        line(ours).is_some() && line(&there) == line(ours)
    })
}
