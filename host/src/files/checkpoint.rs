//! Checkpoints: safetensors files with weights, Adam's moments, average and losses. PyTorch, candle and NumPy open them.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs;
use std::iter;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use micro_diffusion::integer::{MOST_TENSORS, SCORE, Scales};
use micro_diffusion::tensor::{Tensor, total_len};
use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::{Deserialize, Serialize};

use crate::engine::configurations::{self, Config};
use crate::engine::description::{NEWER, THIS, dimensions_name, dtype_name};
use crate::engine::settings::{Keep, Settings};
use crate::engine::trainer::{Best, State};
use crate::files::format::FileFormat;
use crate::files::origin::quoted_or_stream;
use crate::files::quoting::quoted;
use crate::files::run::{RunSettings, lost_objective};

/// The version of this layout of tensors and metadata.
const VERSION: u32 = 2;
/// The one entry of the metadata.
pub(crate) const METADATA: &str = "micro_diffusion";
/// The tensor that holds the loss of each step.
const LOSSES: &str = "losses";
/// The tensor that holds the score of the best state.
const BEST: &str = "best_nats";
/// The tensor that holds the exponents of the integers that weights are rounded to.
const EXPONENTS: &str = "exponents";

/// The metadata of a checkpoint.
#[derive(Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) version: u32,
    pub(crate) alphabet: String,
    pub(crate) settings: RunSettings,
    /// The step of the best state, if one is kept.
    #[serde(default)]
    pub(crate) best_step: Option<u32>,
}

/// A run that can go on.
pub(crate) struct Checkpoint {
    pub(crate) metadata: Metadata,
    /// The network of the settings, in the room of the tensors.
    pub(crate) config: Config,
    pub(crate) state: State,
}

/// One tensor to write.
pub(crate) struct Floats<'a> {
    shape: Vec<usize>,
    values: &'a [f32],
}

impl View for Floats<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        size_of_val(self.values)
    }
}

/// The flat slices of a state with their names in the file.
fn groups(state: &State) -> impl Iterator<Item = (&'static str, &[f32])> {
    let groups = [
        ("weights", &state.weights[..]),
        ("m", &state.m[..]),
        ("v", &state.v[..]),
        ("average", &state.average[..]),
        ("unrounded", &state.unrounded[..]),
        ("best", state.best.as_ref().map_or(&[], |best| &best.weights)),
    ];
    groups.into_iter().filter(|(_, values)| !values.is_empty())
}

/// Cuts `flat` into `tensors`, each named `prefix` and its own name.
pub(crate) fn views<'a>(prefix: &str, tensors: &[Tensor], mut flat: &'a [f32]) -> Vec<(String, Floats<'a>)> {
    let view = |tensor: &Tensor| {
        let values = flat.split_off(..tensor.numbers()).unwrap_or_default();
        (format!("{prefix}{}", tensor.name), Floats { shape: tensor.dimensions.to_vec(), values })
    };
    tensors.iter().map(view).collect()
}

/// The message for a run whose numbers are no longer finite; [`Settings::calmer`] follows.
pub(crate) const DIVERGED: &str = "the last checkpoint of this run is kept; start a new run with";

/// Writes a checkpoint; refuses a `state` with numbers that are not finite, so that a sound checkpoint is never replaced.
pub(crate) fn to_bytes(
    state: &State,
    tensors: &[Tensor],
    alphabet: &str,
    settings: &RunSettings,
) -> anyhow::Result<Vec<u8>> {
    let mut views = Vec::new();
    for (group, values) in groups(state) {
        if values.iter().any(|value| !value.is_finite()) {
            bail!(
                "training diverged by step {done}: the tensors “{group}” hold numbers that are infinite or \
                 not a number; {DIVERGED} {calmer}",
                done = state.losses.len(),
                calmer = settings.training.calmer()
            );
        }
        views.extend(self::views(&format!("{group}."), tensors, values));
    }
    let exponents =
        state.scales.iter().flat_map(|scales| iter::once(scales.activation).chain(scales.tensors));
    let exponents: Vec<f32> = exponents.map(f32::from).collect();
    if !exponents.is_empty() {
        views.push((EXPONENTS.to_owned(), Floats { shape: vec![exponents.len()], values: &exponents }));
    }
    views.push((LOSSES.to_owned(), Floats { shape: vec![state.losses.len()], values: &state.losses }));
    let best_nats = state.best.as_ref().map(|best| [best.nats]);
    if let Some(nats) = &best_nats {
        views.push((BEST.to_owned(), Floats { shape: vec![1], values: nats }));
    }
    let metadata = Metadata {
        version: VERSION,
        alphabet: alphabet.to_owned(),
        settings: settings.clone(),
        best_step: state.best.as_ref().map(|best| best.step),
    };
    let metadata = [(METADATA.to_owned(), serde_json::to_string(&metadata)?)].into_iter().collect();
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// Whether the safetensors file at `path` is a checkpoint, sound or not.
pub(crate) fn is_one(path: &Path) -> bool {
    let named = FileFormat::of_ending(path) == Some(FileFormat::Safetensors);
    let header = |bytes: Vec<u8>| Some(SafeTensors::read_metadata(&bytes).ok()?.1);
    let header = if named { fs::read(path).ok().and_then(header) } else { None };
    header.is_some_and(|header| {
        header.metadata().as_ref().is_some_and(|entries| entries.contains_key(METADATA))
    })
}

/// Reads the checkpoint at `path`.
pub(crate) fn load(path: &Path) -> anyhow::Result<Checkpoint> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| {
        anyhow!(
            "cannot read the checkpoint {name}: {error}; check that you may read it, or give another file \
             or run folder"
        )
    })?;
    read(&bytes, path.parent()).map_err(|error| anyhow!("the checkpoint {name} cannot be used: {error:#}"))
}

/// Reads the checkpoint in the safetensors file `bytes`.
pub(crate) fn from_bytes(bytes: &[u8]) -> anyhow::Result<Checkpoint> {
    read(bytes, None)
}

/// The error for settings that cannot be read.
fn unreadable(error: serde_json::Error) -> anyhow::Error {
    anyhow!(
        "{THIS} cannot read the settings of the run in it ({error}); if a newer micro-diffusion made it, \
         {NEWER}; otherwise it is damaged: copy it again from where it was made"
    )
}

/// Reads the checkpoint `bytes` of the run in `folder`.
fn read(bytes: &[u8], folder: Option<&Path>) -> anyhow::Result<Checkpoint> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let json = header.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    let json = json.context(
        "it was not written by micro-diffusion; give a run folder, or the checkpoint.safetensors in one",
    )?;
    let fields: serde_json::Value = serde_json::from_str(json).map_err(unreadable)?;
    refuse_outdated(&fields, folder)?;
    let metadata: Metadata = serde_json::from_str(json).map_err(unreadable)?;
    let name = &metadata.settings.training.config;
    let family = configurations::by_name(name)
        .with_context(|| format!("its run trains a network “{name}”, which {THIS} does not have; {NEWER}"))?;
    let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let fits = |config: &Config| {
        let dimensions = |tensor: &Tensor| {
            let found = file.tensor(&format!("weights.{}", tensor.name));
            found.is_ok_and(|found| found.shape() == tensor.dimensions)
        };
        config.network.tensors().iter().all(dimensions)
    };
    let config = family.configs().find(fits);
    let anew = || train_command(&metadata.settings, folder);
    let config = config.with_context(|| {
        let rooms: Vec<String> = family.configs().map(|config| config.room()).collect();
        format!(
            "this program has no {name} with the dimensions of its weights; it has these rooms, positions × \
             characters: {}; train the run anew with: {}",
            rooms.join(", "),
            anew()
        )
    })?;
    let or_train = format!(", or train the run anew with: {}", anew());
    let group = |group: &str| -> anyhow::Result<Vec<f32>> {
        let tensors = config.network.tensors();
        let mut flat = Vec::with_capacity(total_len(tensors));
        for tensor in tensors {
            let name = format!("{group}.{}", tensor.name);
            flat.extend(floats(&file, &name, Some(tensor.dimensions), &or_train)?);
        }
        Ok(flat)
    };
    let rounding = file.tensor(EXPONENTS).is_ok();
    let average = if metadata.settings.training.averaging > 0.0 { group("average")? } else { Vec::new() };
    let best = match metadata.best_step {
        Some(step) => {
            let nats = floats(&file, BEST, Some(&[1]), &or_train)?[0];
            Some(Best { weights: group("best")?, step, nats })
        }
        None => None,
    };
    let state = State {
        best,
        unrounded: if rounding { group("unrounded")? } else { Vec::new() },
        scales: if rounding {
            Some(scales(&floats(&file, EXPONENTS, None, &or_train)?, &or_train)?)
        } else {
            None
        },
        losses: floats(&file, LOSSES, None, &or_train)?,
        ..State::new(&group("weights")?, &group("m")?, &group("v")?, &average)
    };
    let (done, steps) = (state.losses.len(), metadata.settings.training.steps);
    if done > steps as usize {
        bail!(
            "it says that {done} steps of {steps} are done, which cannot be: it was altered; train the run \
             anew with: {}",
            anew()
        );
    }
    Ok(Checkpoint { metadata, config, state })
}

/// Refuses a checkpoint with the metadata `fields` of an earlier or later program, and says how to go on with the run in
/// `folder`.
fn refuse_outdated(fields: &serde_json::Value, folder: Option<&Path>) -> anyhow::Result<()> {
    let (version, settings) = (&fields["version"], &fields["settings"]);
    let mut reasons = Vec::new();
    if *version != VERSION {
        if version.as_u64().is_none_or(|version| version > u64::from(VERSION)) {
            bail!("it has version {version}, and {THIS} reads version {VERSION} only; {NEWER}");
        }
        reasons.push(format!("it has version {version}, and {THIS} reads version {VERSION} only"));
    }
    if let Some(name) = settings["config"].as_str()
        && let Some(new) = configurations::renamed(name)
    {
        reasons.push(format!("the network “{name}” is now called “{new}”"));
    }
    if let Some(objective) = lost_objective(settings) {
        reasons.push(format!("{THIS} no longer trains for the objective “{objective}”"));
    }
    if reasons.is_empty() {
        return Ok(());
    }
    let reasons = reasons.join("; ");
    let Ok(settings) = serde_json::from_value(settings.clone()) else {
        let config = settings["config"].as_str().map(|name| configurations::renamed(name).unwrap_or(name));
        let config = config
            .filter(|name| configurations::by_name(name).is_some())
            .map(|name| format!(" --config {name}"));
        let input = settings["input"].as_str().map(|input| format!(" --input {}", quoted(Path::new(input))));
        let command =
            format!("micro-diffusion train{}{}", config.unwrap_or_default(), input.unwrap_or_default());
        bail!(
            "it was written by an older micro-diffusion: {reasons}; its other settings cannot be read; \
             train the run anew, adding any options that it had, with: {command}"
        );
    };
    bail!(
        "it was written by an older micro-diffusion: {reasons}; train the run anew with: {}",
        train_command(&settings, folder)
    )
}

/// The command that trains the run of `settings` in `folder` anew, with the network's present name.
///
/// A run that needs other models goes to its own folder: the default one, by the name of the list, may be theirs.
pub(crate) fn train_command(settings: &RunSettings, folder: Option<&Path>) -> String {
    let RunSettings {
        training,
        development,
        input,
        preparation,
        from,
        teachers,
        teacher_weight,
        retrieval,
        ..
    } = settings;
    let Settings { config, steps, batch, learning_rate, weight_decay, averaging, dropout, seed, .. } =
        training;
    let config = configurations::renamed(config).unwrap_or(config);
    let mut options = format!(
        "micro-diffusion train --config {config} --steps {steps} --batch {batch} --lr {learning_rate} --weight-decay {weight_decay} --averaging {averaging} \
         --dropout {dropout} --seed {seed}"
    );
    if training.keep != Keep::default() {
        options += &format!(" --keep {}", training.keep.name());
    }
    if training.quantize.is_some() {
        options += &format!(" --quantize {}", dtype_name(training.dtype()));
    }
    if let Some(folder) = folder.filter(|_| from.is_some() || !teachers.is_empty()) {
        let here = folder.as_os_str().is_empty();
        options += &format!(" --out {}", if here { ".".to_owned() } else { quoted(folder) });
    }
    if let Some(from) = from {
        options += &format!(" --from {}", quoted(from));
    }
    for teacher in teachers {
        options += &format!(" --teacher {}", quoted(&teacher.path));
    }
    if let Some(weight) = teacher_weight {
        options += &format!(" --teacher-weight {weight}");
    }
    if !retrieval.is_auto() {
        options += &format!(" --retrieval {}", retrieval.name());
    }
    if *development {
        options += " --development";
    }
    if let Some(input) = input {
        options += &format!(" --input {}", quoted_or_stream(input));
    }
    options.push_str(&preparation.options());
    options
}

/// The scales from `exponents`: the activations', then those of the tensors.
fn scales(exponents: &[f32], hint: &dyn Display) -> anyhow::Result<Scales> {
    let whole = |exponent: &f32| Some(*exponent as u8).filter(|whole| f32::from(*whole) == *exponent);
    let exponents: Option<Vec<u8>> = exponents.iter().map(whole).collect();
    let scales = exponents.as_deref().and_then(|exponents| {
        let (activation, tensors) = exponents.split_first()?;
        Some(Scales { activation: *activation, tensors: tensors.try_into().ok()? })
    });
    let sound = scales.filter(|scales| scales.checked().is_some());
    sound.with_context(|| {
        let count = MOST_TENSORS + 1;
        format!(
            "its tensor “{EXPONENTS}”, the scales of the integers, does not hold {count} whole numbers from \
             0 to {SCORE}; copy the file again from where it was made{hint}"
        )
    })
}

/// The error for a safetensors file whose header or size is wrong.
pub(crate) fn damaged(error: SafeTensorError) -> anyhow::Error {
    anyhow!(
        "it is incomplete, damaged or not in the safetensors format ({error}); copy it again from where it \
         was made, or, if it is the original, make it anew"
    )
}

/// Reads the tensor `name`: finite floats of 32 bits, or of 16 in either form, with dimensions `shape` if given.
/// A message about another shape or no such tensor ends in `hint`.
pub(crate) fn floats(
    file: &SafeTensors,
    name: &str,
    shape: Option<&[usize]>,
    hint: &dyn Display,
) -> anyhow::Result<Vec<f32>> {
    let tensor = file.tensor(name).ok().with_context(|| {
        format!(
            "it is incomplete: it has no tensor {name}; copy the file again from where it was \
             made{hint}"
        )
    })?;
    if let Some(shape) = shape.filter(|shape| *shape != tensor.shape()) {
        bail!(
            "it is damaged: its tensor {name} has the shape {}, and the network needs {}; copy the file \
             again from where it was made{hint}",
            dimensions_name(tensor.shape()),
            dimensions_name(shape)
        );
    }
    let halves = || tensor.data().as_chunks().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
    let values: Vec<f32> = match tensor.dtype() {
        Dtype::F32 => tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Dtype::F16 => halves().map(from_f16).collect(),
        Dtype::BF16 => halves().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
        dtype => bail!(
            "its tensor {name} holds numbers of type {dtype}, and this program reads F32, F16 and BF16; \
             convert it, in PyTorch with tensor.float(), and save the file again"
        ),
    };
    if values.iter().any(|value| !value.is_finite()) {
        bail!(
            "its tensor {name} holds a number that is infinite or not a number: its training diverged, or \
             the file is damaged; give a file that this training saved earlier, or train anew with a lower \
             learning rate"
        );
    }
    Ok(values)
}

/// Converts the IEEE half-precision number `bits`, exactly.
fn from_f16(bits: u16) -> f32 {
    /// 2⁻²⁴, the least positive one.
    const LEAST: f32 = f32::from_bits(103 << 23);
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from((bits >> 10) & 0x1F), bits & 0x3FF);
    let magnitude = match exponent {
        0 => f32::from(fraction) * LEAST,
        0x1F if fraction == 0 => f32::INFINITY,
        0x1F => f32::NAN,
        _ => f32::from_bits(((exponent + 112) << 23) | (u32::from(fraction) << 13)),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}
