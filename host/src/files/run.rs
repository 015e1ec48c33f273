//! The run folder: the files of a training run, each replaced whole or not at all.
//!
//! `model.mdm`, `settings.json`, `prepared_list.txt`, `loss.csv`, `held_out.csv`, `previews.tsv` and
//! `checkpoint.safetensors` are for programs, and so is `retrieval.json` of a run that decided for it; `loss.svg`, `unmasking.svg`, `names.svg` and `report.html` for people. The
//! writing process holds `lock`.

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::configurations;
use crate::engine::description::counted;
use crate::engine::preview::Point;
use crate::engine::retrieval::{Retrieval, WEIGHTS};
use crate::engine::settings::{LEAST_STEPS, Settings};
use crate::files::format::FileFormat;
use crate::files::preparation::Preparation;
use crate::files::quoting::quoted;

/// The folder of runs, by default.
pub(crate) const RUNS: &str = "runs";
/// The trained model.
pub(crate) const MODEL: &str = "model.mdm";
/// The settings as JSON.
pub(crate) const SETTINGS: &str = "settings.json";
/// The prepared lines, for when the list is gone or altered. No user's list has this name.
pub(crate) const LIST: &str = "prepared_list.txt";
/// The model that looks the run's training lines up, if one does.
pub(crate) const RETRIEVAL: &str = "retrieval.json";
/// The loss of each step.
pub(crate) const LOSS: &str = "loss.csv";
/// The held-out score at some steps.
pub(crate) const HELD_OUT: &str = "held_out.csv";
/// Names that the model drew at some steps.
pub(crate) const PREVIEWS: &str = "previews.tsv";
/// The curves of loss and held-out score.
pub(crate) const LOSS_PICTURE: &str = "loss.svg";
/// The unmasking of one name.
pub(crate) const UNMASKING_PICTURE: &str = "unmasking.svg";
/// The unmasking of all names, animated.
pub(crate) const NAMES_PICTURE: &str = "names.svg";
/// The report of the run, on one page.
pub(crate) const REPORT: &str = "report.html";
/// The state that `--resume` goes on from.
pub(crate) const CHECKPOINT: &str = "checkpoint.safetensors";

/// Every file of a run. The last two tell a run from another folder.
const WRITTEN: [&str; 12] = [
    MODEL,
    LIST,
    RETRIEVAL,
    LOSS,
    HELD_OUT,
    PREVIEWS,
    LOSS_PICTURE,
    UNMASKING_PICTURE,
    NAMES_PICTURE,
    REPORT,
    CHECKPOINT,
    SETTINGS,
];

const LOCK: &str = "lock";

/// A run's settings: how it trains and on which lines. Stored in the run folder and in each checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunSettings {
    #[serde(flatten)]
    pub(crate) training: Settings,
    /// Whether the development split is held out.
    pub(crate) development: bool,
    /// SHA-256 of the training lines and the alphabet.
    pub(crate) data_sha256: String,
    /// The list that was read; `-` is stdin. The hash says whether a list read later is equal.
    pub(crate) input: Option<PathBuf>,
    #[serde(flatten)]
    pub(crate) preparation: Preparation,
    /// The model that the run started from; `None` for random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<PathBuf>,
    /// The trained models that it learns from besides the lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) teachers: Vec<TeacherFile>,
    /// λ: their share of what each masked position is to predict, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) teacher_weight: Option<f64>,
    /// Warnings of the models above that have seen lines which the run holds out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) warnings: Vec<String>,
    /// Whether the model is to look its training lines up; [`RETRIEVAL`] has the decision.
    #[serde(default, skip_serializing_if = "Retrieval::is_auto")]
    pub(crate) retrieval: Retrieval,
}

/// A model file that a run learns from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TeacherFile {
    /// The path that `--teacher` names, for the next time; the hash says whether the file is unchanged.
    pub(crate) path: PathBuf,
    /// SHA-256 of the model file.
    pub(crate) sha256: String,
}

impl RunSettings {
    /// Differences from `other` that would change the result: “--steps is 100, and was 200”.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let fields = |settings: &Self| serde_json::to_value(settings).unwrap_or_default();
        let (new, old) = (fields(self), fields(other));
        let keys = new.as_object().into_iter().flatten();
        let untaught = other.teachers.is_empty();
        let spared = |key: &str| match key {
            "input" | "warnings" | "retrieval" => true,
            "teachers" => self.same_teachers(other),
            // The lack of teachers is said already.
            "teacher_weight" => untaught,
            _ => false,
        };
        keys.filter(|(key, value)| !spared(key) && old.get(key) != Some(value))
            .map(|(key, value)| match key.as_str() {
                "teachers" if untaught => "it began without a teacher".to_owned(),
                "teachers" => "the teachers are not the models that it began with".to_owned(),
                "data_sha256" => "the training lines or the alphabet differ".to_owned(),
                "steps" => format!("--steps is {value}, and was {}: a run only goes on to more", old[key]),
                key => format!("{} is {}, and was {}", option_of(key), in_words(value), in_words(&old[key])),
            })
            .collect()
    }

    /// The warnings in one, if there are any.
    pub(crate) fn warning(&self) -> Option<String> {
        (!self.warnings.is_empty()).then(|| self.warnings.join("; "))
    }

    /// Refuses a path that is not UTF-8, which settings cannot hold.
    pub(crate) fn refuse_other_than_utf_8(&self) -> anyhow::Result<()> {
        let paths = [("input", &self.input), ("from", &self.from)];
        let mut paths = paths.into_iter().filter_map(|(option, path)| Some((option, path.as_ref()?)));
        let Some((option, path)) = paths.find(|(_, path)| path.to_str().is_none()) else { return Ok(()) };
        let link = path.file_name().unwrap_or_default().to_string_lossy().replace('\u{FFFD}', "_");
        let link = quoted(Path::new(&link));
        bail!(
            "--{option} {}: the name is not UTF-8, and the settings of a run can only hold names that are; link to it with: \
             ln -s {} {link}; then give --{option} {link}",
            path.display(),
            quoted(path)
        )
    }

    /// Whether the teachers are those of `other`, wherever they lie.
    fn same_teachers(&self, other: &Self) -> bool {
        let hashes = self.teachers.iter().map(|teacher| &teacher.sha256);
        hashes.eq(other.teachers.iter().map(|teacher| &teacher.sha256))
    }
}

/// The option of the command line for the setting `key`.
fn option_of(key: &str) -> String {
    match key {
        "learning_rate" => "--lr".to_owned(),
        key => format!("--{}", key.replace('_', "-")),
    }
}

/// The `value` of a setting, as on the command line.
fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// The decision of a run for retrieval: the file [`RETRIEVAL`]. Another model in the folder, such as an export, has its own bytes, and
/// so no retrieval.
#[derive(Serialize, Deserialize)]
struct Retrieves {
    /// SHA-256 of the model file that looks training lines up.
    model_sha256: String,
    /// The weight, one of [`WEIGHTS`].
    #[serde(default = "former_weight")]
    weight: u32,
}

/// The weight of decisions that name none: the only one at the time.
fn former_weight() -> u32 {
    6
}

/// The weight of retrieval, where the model of hash `sha256` at `path` looks the training lines of its run up.
///
/// # Errors
/// The decision is there and cannot be read.
pub(crate) fn retrieval(path: &Path, sha256: impl FnOnce() -> String) -> anyhow::Result<Option<u32>> {
    let path = path.with_file_name(RETRIEVAL);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(anyhow::Error::from),
    };
    let read = bytes.and_then(|bytes| Ok(serde_json::from_slice::<Retrieves>(&bytes)?));
    let decision = read.and_then(|decision| {
        let weights = WEIGHTS.map(|weight| weight.to_string()).join(", ");
        ensure!(
            WEIGHTS.contains(&decision.weight),
            "its weight is {}, not one of {weights}",
            decision.weight
        );
        Ok(decision)
    });
    let decision = decision.map_err(|error| {
        let (name, folder) = (path.display(), quoted(path.parent().unwrap_or(Path::new("."))));
        anyhow!(
            "cannot read {name}, which says how this run looks letters up in its training lines when it draws: {error}; to \
             write it again: micro-diffusion train --out {folder} --resume; to draw with the network alone: mv {path} {path}.old",
            path = quoted(&path)
        )
    })?;
    Ok((decision.model_sha256 == sha256()).then_some(decision.weight))
}

/// A run folder that only this process writes to.
pub(crate) struct RunFolder {
    path: PathBuf,
    /// Locked until the process ends, however it ends.
    _lock: File,
}

impl RunFolder {
    /// Creates or opens the folder, and locks it.
    ///
    /// # Errors
    /// The folder cannot be written, or has files with the names of a run's that no run wrote.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let there: Vec<&str> = WRITTEN.into_iter().filter(|file| path.join(file).exists()).collect();
        if !there.is_empty() && !is_run(path) {
            bail!(
                "the folder {name} is not that of a run, and a run would replace {} there; choose another folder, such as \
                 --out {}",
                there.join(", "),
                quoted(&path.join("run"))
            );
        }
        let create = || fs::create_dir_all(path).and_then(|()| plain(path));
        let path = create().map_err(|error| {
            anyhow!("cannot create the run folder {name}: {error}; choose another with --out")
        })?;
        let lock = File::options().write(true).create(true).truncate(false).open(path.join(LOCK)).map_err(
            |error| anyhow!("cannot write in the run folder {name}: {error}; choose another with --out"),
        )?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => bail!(
                "another process is writing in the run folder {name}; wait until it ends, or choose another folder with \
                 --out"
            ),
            Err(TryLockError::Error(error)) => {
                bail!(
                    "cannot lock the run folder {name}, to keep other runs out: {error}; choose another \
                     with --out"
                )
            }
        }
    }

    /// The path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file `name` in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Moves an earlier run's files to a folder beside this one; returns its path, if there was a run.
    ///
    /// Files that this program does not write stay.
    pub(crate) fn keep_earlier(&self) -> anyhow::Result<Option<PathBuf>> {
        if !is_run(&self.path) {
            return Ok(None);
        }
        let exports = FileFormat::ALL.iter().map(|format| format.beside(Path::new(MODEL)));
        let exports = exports.filter(|export| *export != Path::new(MODEL));
        // Checkpoint and settings go last: if the process is killed here, the rest is a run still.
        let written = exports.chain(WRITTEN.iter().map(PathBuf::from));
        let earlier: Vec<PathBuf> = written.filter(|name| self.path.join(name).exists()).collect();
        let failed = |why: &str| {
            anyhow!(
                "cannot move the earlier run in {} aside: {why}; choose another folder with --out",
                self.path.display()
            )
        };
        let refused = |error: std::io::Error| failed(&error.to_string());
        let aside = (1..)
            .map_while(|number| {
                let mut name = self.path.file_name()?.to_owned();
                name.push(format!(".{number}"));
                Some(self.path.with_file_name(name))
            })
            .find(|path| !path.exists())
            .ok_or_else(|| failed("the folder has no name"))?;
        fs::create_dir(&aside).map_err(refused)?;
        for name in earlier {
            fs::rename(self.path.join(&name), aside.join(&name)).map_err(refused)?;
        }
        Ok(Some(aside))
    }

    /// The present path of the model at `path`, which was in this folder perhaps, before its run moved `aside`.
    pub(crate) fn moved(&self, path: PathBuf, aside: &Path) -> PathBuf {
        let is_here = |path: &Path| path.canonicalize().ok() == self.path.canonicalize().ok();
        match (path.parent(), path.file_name()) {
            _ if is_here(&path) => aside.to_owned(),
            (Some(parent), Some(name))
                if is_here(&Path::new(".").join(parent)) && aside.join(name).exists() =>
            {
                aside.join(name)
            }
            _ => path,
        }
    }

    /// Writes the decision that the model of a hash looks training lines up, with a weight, or that none does.
    pub(crate) fn save_retrieval(&self, decision: Option<(String, u32)>) -> anyhow::Result<()> {
        match decision {
            Some((model_sha256, weight)) => {
                let decision = Retrieves { model_sha256, weight };
                let json = serde_json::to_string_pretty(&decision)? + "\n";
                self.save(RETRIEVAL, json.as_bytes())
            }
            None => fs::remove_file(self.file(RETRIEVAL)).or_else(|error| match error.kind() {
                ErrorKind::NotFound => Ok(()),
                _ => {
                    let path = self.file(RETRIEVAL);
                    Err(anyhow!(
                        "cannot remove {}, by which the run drew with retrieval: {error}; the checkpoint is \
                         saved, the model is not: go on with --resume after: rm {}",
                        path.display(),
                        quoted(&path)
                    ))
                }
            }),
        }
    }

    /// [`replace`]s the file `name` in the folder.
    pub(crate) fn save(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        replace(&self.file(name), bytes)
    }
}

/// `path`, which exists, without a slash at its end; resolved where it ends in `.` or `..`.
fn plain(path: &Path) -> std::io::Result<PathBuf> {
    if path.file_name().is_some() { Ok(path.components().collect()) } else { path.canonicalize() }
}

/// Replaces the file at `path`, or the file that it links to, by `bytes`, whole or not at all, even if the power fails.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let target = fs::canonicalize(path);
    let path = target.as_deref().unwrap_or(path);
    if path.exists() && !path.is_file() {
        bail!(
            "cannot write {}: it is no regular file, but a folder or a device; give the path of a file with \
             --out",
            path.display()
        );
    }
    let mut temporary = path.to_owned().into_os_string();
    temporary.push(".tmp");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name must reach the disk too. Some systems cannot sync a folder, and need not.
        let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).or(Ok(()))
    };
    write().map_err(|error: std::io::Error| {
        let _ = fs::remove_file(&temporary);
        anyhow!(
            "cannot save {}: {error}; an earlier file there is unchanged; try again when the cause is \
             mended, or choose another --out",
            path.display()
        )
    })
}

/// The objective of `settings`, if it is another than the likelihood bound, the only one of this program.
pub(crate) fn lost_objective(settings: &Value) -> Option<&str> {
    settings["objective"].as_str().filter(|objective| *objective != "nelbo")
}

/// Reads the settings beside `model`, if they have type `T`.
fn read_settings<T: DeserializeOwned>(model: &Path) -> Option<T> {
    let bytes = fs::read(model.with_file_name(SETTINGS)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// Whether `folder` is that of a run: it has a checkpoint, or settings.
fn is_run(folder: &Path) -> bool {
    folder.join(CHECKPOINT).exists() || stored_settings(&folder.join(MODEL)).is_some()
}

/// Whether the file at `path` is one that a run wrote.
pub(crate) fn is_of_run(path: &Path) -> bool {
    let is_written = path.file_name().is_some_and(|name| WRITTEN.iter().any(|written| name == *written));
    is_written && path.parent().is_some_and(is_run)
}

/// The settings of the run that left `model`, if any; this program may lack the network or objective that they name.
pub(crate) fn stored_settings(model: &Path) -> Option<RunSettings> {
    read_settings(model)
}

/// The settings of the run that left `model`, if any.
///
/// # Errors
/// The settings name a network by a former name, or an objective that this program no longer has.
pub(crate) fn settings_of(model: &Path) -> anyhow::Result<Option<RunSettings>> {
    let path = model.with_file_name(SETTINGS);
    let fields: Option<Value> = read_settings(model);
    if let Some(objective) = fields.as_ref().and_then(lost_objective) {
        let (name, path) = (path.display(), quoted(&path));
        bail!(
            "the settings in {name} name the objective “{objective}”, which this program no longer trains \
             for; to use the model without them, move them aside with: mv {path} {path}.old"
        );
    }
    let settings = stored_settings(model);
    if let Some(old) = settings.as_ref().map(|settings| &settings.training.config)
        && let Some(new) = configurations::renamed(old)
    {
        let (name, path) = (path.display(), quoted(&path));
        bail!(
            "{name} has the network's old name, “{old}”, which is now “{new}”; change it with: sed -i.old \
             's/\"config\": *\"{old}\"/\"config\": \"{new}\"/' {path}"
        );
    }
    Ok(settings)
}

/// The model that a verb takes from the runs folder by default.
#[derive(Default)]
pub(crate) struct Newest {
    /// The model of the newest run that is finished and no trial.
    pub(crate) model: Option<PathBuf>,
    /// A note on a newer run that is not taken: why, and how to draw from it.
    pub(crate) passed: Option<String>,
    /// The reason why the runs folder cannot be read, where it is there and cannot.
    pub(crate) unreadable: Option<std::io::Error>,
}

/// Finds the newest finished run in the runs folder that is no trial.
pub(crate) fn newest() -> Newest {
    let folders = match fs::read_dir(RUNS) {
        Ok(folders) => folders.filter_map(Result::ok),
        Err(error) if error.kind() == ErrorKind::NotFound => return Newest::default(),
        Err(error) => return Newest { unreadable: Some(error), ..Newest::default() },
    };
    let modified = |path: PathBuf| fs::metadata(path).ok()?.modified().ok();
    let age = |folder: &Path| modified(folder.join(MODEL)).or_else(|| modified(folder.join(CHECKPOINT)));
    let runs = folders.filter_map(|entry| Some((age(&entry.path())?, entry.path())));
    let mut runs: Vec<(SystemTime, PathBuf)> = runs.collect();
    runs.sort();
    let (mut model, mut passed) = (None, None);
    for (_, folder) in runs.into_iter().rev() {
        if shortcoming("run", &folder).is_none() {
            model = Some(folder.join(MODEL));
            break;
        }
        passed.get_or_insert(folder);
    }
    let run = if model.is_some() { "newer run" } else { "run" };
    Newest { model, passed: passed.and_then(|folder| shortcoming(run, &folder)), unreadable: None }
}

/// The reason why the `run` in `folder` is no default model, and the command that draws from it or goes on. The settings
/// cannot be read, the schedule has not ended, or its steps are so few that it was a trial. `None` where the run is fit.
fn shortcoming(run: &str, folder: &Path) -> Option<String> {
    let (model, name, path) = (folder.join(MODEL), folder.display(), quoted(folder));
    if !model.exists() {
        return Some(format!(
            "the {run} in {name} has not saved a model yet; unless it is still training, go on with: \
             micro-diffusion train --out {path} --resume"
        ));
    }
    let Some(RunSettings { training: Settings { steps, .. }, .. }) = stored_settings(&model) else {
        return Some(format!(
            "the {run} in {name} is not taken without --model, since it has no {SETTINGS} that can be read, \
             which says how it was trained; draw from it with: micro-diffusion sample --model {path}"
        ));
    };
    // The table of losses is written at the end of the schedule, the settings at its start.
    let table = fs::read_to_string(folder.join(LOSS)).unwrap_or_default();
    let last = table.lines().last().and_then(|row| row.split(',').next()?.parse::<u32>().ok());
    let Some(done) = last else {
        return Some(format!(
            "the {run} in {name} is not taken without --model, since it has no {LOSS} that can be read, \
             which says whether it is finished; draw from it with: micro-diffusion sample --model {path}"
        ));
    };
    if done < steps {
        return Some(format!(
            "the {run} in {name} is unfinished, at step {done} of {steps}, so it is used only if named, by --model {path}; to \
             finish it: micro-diffusion train --out {path} --resume"
        ));
    }
    (steps < LEAST_STEPS).then(|| {
        format!(
            "the {run} in {name} has only {}, and without --model only runs of {LEAST_STEPS} or more are \
             taken; draw from it with: micro-diffusion sample --model {path}",
            counted(steps as usize, "step")
        )
    })
}

/// Heading of the table of held-out scores. Runs of earlier versions have the first two columns alone.
const HEADING: &str = "step,held_out_nats_per_name,error_over_orders";

/// Writes the held-out curve as a table.
pub(crate) fn curve_table(curve: &[Point]) -> String {
    let row = |Point { step, nats, error }: &Point| {
        let error = error.map_or(String::new(), |error| error.to_string());
        format!("{step},{nats},{error}\n")
    };
    format!("{HEADING}\n{}", curve.iter().map(row).collect::<String>())
}

/// Reads the held-out curve up to step `done` from the table at `path`; empty without a table.
pub(crate) fn read_curve(path: &Path, done: u32) -> anyhow::Result<Vec<Point>> {
    let row = |line: &str| -> Option<Point> {
        let (step, rest) = line.split_once(',')?;
        let (nats, error) = rest.split_once(',').unwrap_or((rest, ""));
        let error = if error.is_empty() { None } else { Some(error.parse().ok()?) };
        Some(Point { step: step.parse().ok()?, nats: nats.parse().ok()?, error })
    };
    let points = rows(path, "steps and scores", row)?;
    Ok(points.into_iter().filter(|point| point.step <= done).collect())
}

/// Writes names of fixed numbers after several steps as a table; no line of a list has a tab.
pub(crate) fn previews_table(names: &[(u32, Vec<String>)]) -> String {
    let columns =
        (1..=names.first().map_or(0, |(_, names)| names.len())).map(|number| format!("\tname {number}"));
    let rows = names.iter().map(|(step, names)| format!("{step}\t{}\n", names.join("\t")));
    format!("step{}\n{}", columns.collect::<String>(), rows.collect::<String>())
}

/// Reads the names up to step `done` from the table at `path`; empty without a table.
pub(crate) fn read_previews(path: &Path, done: u32) -> anyhow::Result<Vec<(u32, Vec<String>)>> {
    let row = |line: &str| -> Option<(u32, Vec<String>)> {
        let (step, names) = line.split_once('\t')?;
        Some((step.parse().ok()?, names.split('\t').map(str::to_owned).collect()))
    };
    let previews = rows(path, "steps and names", row)?;
    Ok(previews.into_iter().filter(|(step, _)| *step <= done).collect())
}

/// Reads each line but the first of the table at `path` by `row`; empty without a table. `what` names the rows in
/// messages.
///
/// # Errors
/// The table cannot be read; the error says how the run goes on without it.
fn rows<T>(path: &Path, what: &str, row: impl Fn(&str) -> Option<T>) -> anyhow::Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let (name, aside) = (path.display(), quoted(path));
    let text = fs::read_to_string(path).map_err(|error| {
        anyhow!(
            "cannot read the table {name} of {what}: {error}; to begin a new one, move it aside with: mv {aside} \
             {aside}.old"
        )
    })?;
    let read = |(number, line): (usize, &str)| {
        row(line).with_context(|| {
            format!(
                "line {number} of the table {name} is not a valid row of {what}; to begin a new table, move this one aside \
                 with: mv {aside} {aside}.old"
            )
        })
    };
    (1..).zip(text.split('\n')).skip(1).filter(|(_, line)| !line.is_empty()).map(read).collect()
}
