//! The teachers of a run: finds and opens trained models, and compares them with the lines.

use std::path::{Path, PathBuf};

use anyhow::{anyhow, bail, ensure};

use crate::files::corpus::{Corpus, Lines, Split};
use crate::files::model::{Model, ModelBytes};
use crate::files::room::length_of;
use crate::files::run::TeacherFile;

/// The score of a run in a warning of lines that a model has seen already.
pub(crate) const RUN_SCORE: &str = "the run's held-out score";

/// Reads the model file of each of the `paths`. Without paths it reads the `stored` ones of a run that goes on.
pub(crate) fn read(
    paths: &[PathBuf],
    stored: &[TeacherFile],
) -> anyhow::Result<Vec<(TeacherFile, ModelBytes)>> {
    let load = |path: &PathBuf| {
        let bytes = ModelBytes::load(Some(path))?;
        Ok((TeacherFile { path: path.clone(), sha256: bytes.sha256() }, bytes))
    };
    let load_stored = |TeacherFile { path, .. }: &TeacherFile| {
        load(path).map_err(|error| {
            let name = path.display();
            anyhow!(
                "the run's teacher {name} cannot be used ({error:#}); put the file back, or name all \
                 teachers of the run anew with --teacher"
            )
        })
    };
    if paths.is_empty() { stored.iter().map(load_stored).collect() } else { paths.iter().map(load).collect() }
}

/// Warns of each of the models `read` that was trained, as far as is known, on lines that the run holds out.
///
/// The run splits the lines from `input`.
pub(crate) fn warnings(
    read: &mut [ModelBytes],
    (lines, split, input): (&Lines, Split, Option<&Path>),
) -> anyhow::Result<Vec<String>> {
    let warning = |bytes: &mut ModelBytes| {
        let model = bytes.open()?;
        Ok(model
            .warning(lines, split, input, RUN_SCORE)
            .map(|warning| format!("{}, a teacher: {warning}", model.source)))
    };
    read.iter_mut().filter_map(|bytes| warning(bytes).transpose()).collect()
}

/// Opens the models `read`, which are to teach a run on `corpus`, with the alphabet of the model that it is `from`, if any.
///
/// # Errors
/// A model of another alphabet, or without room for a training line.
pub(crate) fn open<'a>(
    read: &'a mut [ModelBytes],
    corpus: &Corpus,
    from: Option<&Path>,
) -> anyhow::Result<Vec<Model<'a>>> {
    let (whose, way_out) = match from {
        Some(_) => ("the model of --from", "take a teacher with these characters, or leave out --from"),
        None => (&*corpus.source, "take a teacher that was trained on these lines"),
    };
    let open = |bytes: &'a mut ModelBytes| {
        let model = bytes.open()?;
        let (source, alphabet) = (model.source, model.alphabet().characters());
        ensure!(
            alphabet == corpus.alphabet,
            "{source} cannot be the teacher: its characters are “{alphabet}”, and they must be those of \
             {whose}, “{}”; {way_out}",
            corpus.alphabet
        );
        let most = model.file.shape().positions;
        if let Some(line) = corpus.training.iter().find(|line| length_of(line) > most) {
            bail!(
                "as a teacher, {source} reads lines of at most {most} characters, and “{line}” has {letters}; \
                 take another teacher, or remove longer lines from the list",
                letters = length_of(line)
            );
        }
        Ok(model)
    };
    read.iter_mut().map(open).collect()
}

/// Refuses a teacher in the run folder `out`, whose files a new run moves aside.
pub(crate) fn refuse_inside(paths: &[PathBuf], out: &Path) -> anyhow::Result<()> {
    let Ok(folder) = out.canonicalize() else { return Ok(()) };
    let lies_there = |path: PathBuf| path == folder || path.parent() == Some(&folder);
    let inside = |path: &&PathBuf| path.canonicalize().is_ok_and(lies_there);
    match paths.iter().find(inside) {
        Some(path) => bail!(
            "the teacher {} lies in the run folder {}, whose files the new run would move aside; give the new run another --out",
            path.display(),
            out.display()
        ),
        None => Ok(()),
    }
}
