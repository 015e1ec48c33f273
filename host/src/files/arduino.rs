//! A model of integers as a library for Arduino and PlatformIO: the C header, what describes it, and a sketch.
//!
//! Sources: the Arduino library specification, revision 1.5 and later; PlatformIO's `library.json`.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::files::c_sampler::CSampler;
use crate::files::run::replace;

const PROPERTIES: &str = include_str!("arduino/library.properties");
const MANIFEST: &str = include_str!("arduino/library.json");
const LICENSE: &str = include_str!("../../../LICENSE-MIT");
const SKETCH: &str = include_str!("arduino/Names.ino");

/// The files of a library, by their paths in its folder.
pub(crate) fn library(sampler: &CSampler) -> Vec<(String, String)> {
    let name = sampler.prefix.word();
    let filled = |template: &str| {
        let named = sampler.prefix.apply(template);
        named.replace("@NAME@", name).replace("@TITLE@", &sampler.title())
    };
    vec![
        ("library.properties".to_owned(), filled(PROPERTIES)),
        ("library.json".to_owned(), filled(MANIFEST)),
        ("LICENSE-MIT".to_owned(), LICENSE.to_owned()),
        (format!("src/{name}.h"), sampler.header()),
        ("examples/Names/Names.ino".to_owned(), filled(SKETCH)),
    ]
}

/// Writes `files` into `folder`, which is made where there is none.
///
/// # Errors
/// Says so where `folder` holds anything else than a library, which is left as it is.
pub(crate) fn write(folder: &Path, files: &[(String, String)]) -> anyhow::Result<()> {
    let filled = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if folder.exists() && !folder.is_dir() || filled && !folder.join("library.properties").exists() {
        bail!(
            "{} is there and is no library folder; name one that does not exist yet with --out",
            folder.display()
        );
    }
    for (path, text) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot make the folder {}", parent.display()))?;
        }
        replace(&path, text.as_bytes())?;
    }
    Ok(())
}
