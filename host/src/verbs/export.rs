//! `export`: a model in the form that other programs take.
//!
//! | format | what it is |
//! |---|---|
//! | `mdm` | this program's model file, which firmware reads in place |
//! | `safetensors` | the tensors by name, with shape and alphabet in the metadata: PyTorch, NumPy, candle |
//! | `c` | a C header: of integers one that draws texts, of floats one of `const` arrays |
//! | `arduino` | a library folder for Arduino and PlatformIO around that header |
//! | `rust` | a Rust module of `static` arrays |
//! | `int8`, `int4` | a model file of integers; scaled by texts |
//! | `html` | a page that draws in a browser |
//!
//! The loss by integers is measured and reported.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use micro_diffusion::dtype::Dtype;

use crate::cli::{ExportOptions, Outcome};
use crate::engine::description::{counted, dtype_name};
use crate::engine::network::NumberFormat;
use crate::engine::quantise;
use crate::files::arduino;
use crate::files::c_sampler::CSampler;
use crate::files::format::FileFormat;
use crate::files::model::{BUILT_IN_INT4, Model, ModelBytes, Wanted};
use crate::files::origin::quoted_or_stream;
use crate::files::page::page;
use crate::files::prefix::Prefix;
use crate::files::preparation::Preparation;
use crate::files::quoting::quoted;
use crate::files::run::{is_of_run, newest, replace};
use crate::files::safetensors;
use crate::files::source_code::SourceCode;
use crate::show::messages::{report_integers, scoring_list};
use crate::show::terminal;
use crate::show::waiting::Waiting;

/// Training lines that choose the activations' scale.
const LINES: usize = 500;

pub(crate) fn run(options: &ExportOptions) -> anyhow::Result<Outcome> {
    refuse_ignored(options)?;
    let page = options.format() == FileFormat::Html;
    let named = options.model.model.as_deref();
    if let (true, None, Some(newest)) = (page, named, newest().model) {
        terminal::say(&terminal::note(&format!(
            "the page has the model that comes with this program; for that of the newest finished run, export again with: \
             micro-diffusion export --format html --model {run}",
            run = quoted(newest.parent().unwrap_or(&newest))
        )));
    }
    if page && named.is_none() && options.quantize.is_some() {
        bail!(
            "--quantize has nothing to do: without --model the page gets the model of names that comes with \
             this program, whose weights are integers already; leave out --quantize, or name a model of \
             floats with --model"
        );
    }
    refuse_other_ending(options)?;
    let mut bytes = ModelBytes::load(named.or(page.then_some(Path::new(BUILT_IN_INT4))))?;
    warn_of_retrieval(&bytes);
    let model = bytes.open()?;
    let default = || options.format().beside(Path::new(model.name()));
    let out = options.out.clone().unwrap_or_else(default);
    let to_stdout = out == Path::new("-");
    // The path is checked before the model is made, which takes a while.
    refuse_to_replace(&out, &model)?;
    let unnamed = to_stdout || options.format() == FileFormat::Arduino && options.out.is_none();
    let prefix_of = if unnamed { Path::new(model.name()) } else { &out };
    let prefix = options.name.clone().unwrap_or_else(|| Prefix::of_file(prefix_of));
    let rounded = options.quantize.map(|format| integers(&model, format.dtype(), options)).transpose()?;
    let mut rounded = rounded.map(|bytes| ModelBytes::of_bytes(model.source.to_owned(), bytes));
    let rounded = rounded.as_mut().map(ModelBytes::open).transpose()?;
    let written = rounded.as_ref().unwrap_or(&model);
    let bytes = match options.format() {
        FileFormat::Int8 => integers(&model, Dtype::Int8, options)?,
        FileFormat::Int4 => integers(&model, Dtype::Int4, options)?,
        FileFormat::Mdm => model.bytes().to_vec(),
        FileFormat::C if written.file.dtype() != Dtype::F32 => {
            sampler(written, &prefix)?.header().into_bytes()
        }
        FileFormat::C => source(&model)?.c(&prefix)?.into_bytes(),
        FileFormat::Arduino => return library(written, &prefix, &out, options),
        FileFormat::Rust => source(&model)?.rust()?.into_bytes(),
        FileFormat::Safetensors => safetensors::to_bytes(&model.config, model.weights()?, model.language())?,
        FileFormat::Html => html(&model, rounded.as_ref(), options)?.into_bytes(),
    };
    if to_stdout {
        let mut out = terminal::bytes();
        out.write_all(&bytes)?;
        out.flush()?;
        return Ok(Outcome::Done);
    }
    replace(&out, &bytes)?;
    terminal::say(&format!("wrote {}: {} bytes, from {}", out.display(), bytes.len(), model.source));
    if options.format() == FileFormat::C && written.file.dtype() == Dtype::F32 {
        terminal::say(&terminal::note(&about_arrays(&model, options)));
    }
    Ok(Outcome::Done)
}

/// Refuses options that the format would ignore.
fn refuse_ignored(options: &ExportOptions) -> anyhow::Result<()> {
    let in_c = matches!(options.format(), FileFormat::C | FileFormat::Arduino);
    let page = options.format() == FileFormat::Html;
    if !(in_c || page) && options.quantize.is_some() {
        bail!(
            "--quantize has nothing to do: it rounds for --format c, arduino and html only; for a model \
             file of integers, leave it out and give --format int8 or int4"
        );
    }
    if !in_c && options.name.is_some() {
        bail!(
            "--name sets the prefix of names in C, so it works only with --format c or arduino; leave it \
             out, and name the file with --out"
        );
    }
    let reads_list = reads_list(options.format(), options.quantize.is_some());
    let of_list = [("input", options.input.is_some()), ("development", options.development.is_some())];
    if let (false, Some((option, _))) = (reads_list, of_list.iter().find(|(_, given)| *given)) {
        bail!(
            "this export reads no list, so --{option} has nothing to do; leave it out (a list is read to round a model, with --quantize \
             or --format int8 or int4, and to mark copies on a page, with --format html)"
        );
    }
    Ok(())
}

/// Refuses a file to write whose ending says another format than `--format`, as which programs would read it.
fn refuse_other_ending(options: &ExportOptions) -> anyhow::Result<()> {
    let format = options.format();
    if let (Some(out), Some(ending)) = (&options.out, options.ending())
        && !format.is_read_as(ending)
    {
        bail!(
            "the ending of --out {} says the format {}, and --format says {}; leave out --format, or end the file as its \
             format does: --out {}",
            out.display(),
            ending.name(),
            format.name(),
            quoted(&format.beside(out))
        );
    }
    Ok(())
}

/// Refuses to write `out` over `model`, or over a file of a run, by whatever path.
fn refuse_to_replace(out: &Path, model: &Model) -> anyhow::Result<()> {
    let Ok(there) = out.canonicalize() else { return Ok(()) };
    let what = if model.path.and_then(|path| path.canonicalize().ok()).as_ref() == Some(&there) {
        "the model itself"
    } else if is_of_run(&there) {
        "a file of a run"
    } else {
        return Ok(());
    };
    bail!("the export would replace {}, {what}; name another file with --out", out.display())
}

/// The note on the floats of `model` in C, which are arrays: the way to C that draws texts.
fn about_arrays(model: &Model, options: &ExportOptions) -> String {
    match number_format(model, Dtype::Int8, options) {
        Ok(_) => format!(
            "the header just written holds the weights only, without the code that draws names; for both, \
             round the weights to integers with: {}",
            command_with_quantize(model, options, Dtype::Int8)
        ),
        Err(error) => format!(
            "the header just written holds the weights only, without code that draws; C that draws needs \
             integers, and {error:#}"
        ),
    }
}

/// The network of `model` in numbers of `dtype`. For a built-in one of floats only, the error has the command that exports
/// the integers beside it.
fn number_format(
    model: &Model,
    dtype: Dtype,
    options: &ExportOptions,
) -> anyhow::Result<&'static dyn NumberFormat> {
    model.config.network.format(dtype).map_err(|error| match model.comes_along() {
        true => {
            anyhow!(
                "{} cannot be exported in integers: {error}; the integer model that comes with this program \
                 can be exported by: {}",
                model.source,
                command_of_integers(options)
            )
        }
        false => error.context(model.source.to_owned()),
    })
}

/// Collects the tensors of `model`, of floats, for source code.
fn source<'a>(model: &Model<'a>) -> anyhow::Result<SourceCode<'a>> {
    let Model { config, .. } = model;
    Ok(SourceCode {
        name: config.name,
        shape: config.network.shape(),
        tensors: config.network.tensors(),
        language: model.language(),
        weights: model.weights()?,
    })
}

/// The command of `options` that first rounds the floats of `model` to `dtype`.
fn command_with_quantize(model: &Model, options: &ExportOptions, dtype: Dtype) -> String {
    command(options, options.format(), &quoted(Path::new(model.argument())), Some(dtype))
}

/// The command of `options` that exports the integers that come along: in its format, or as the model file that they are.
fn command_of_integers(options: &ExportOptions) -> String {
    let format = if options.format() == FileFormat::Int8 { FileFormat::Int4 } else { options.format() };
    command(options, format, BUILT_IN_INT4, None)
}

/// Whether an export as `format` reads a list: to round a model, which `quantizes` says too, or to mark copies.
fn reads_list(format: FileFormat, quantizes: bool) -> bool {
    quantizes || matches!(format, FileFormat::Int8 | FileFormat::Int4 | FileFormat::Html)
}

/// The command that exports `model` as `format`, rounded to `quantize` if that is given, with the other `options`.
fn command(options: &ExportOptions, format: FileFormat, model: &str, quantize: Option<Dtype>) -> String {
    let mut command = format!("micro-diffusion export --format {} --model {model}", format.name());
    if let Some(dtype) = quantize {
        command += &format!(" --quantize {}", dtype_name(dtype));
    }
    // Another format has another ending.
    let other_ending = format != options.format();
    let out =
        options.out.as_deref().map(|out| if other_ending { format.beside(out) } else { out.to_owned() });
    let reads_list = reads_list(format, quantize.is_some());
    let input = options.input.as_ref().filter(|_| reads_list);
    let files = [("out", out.as_ref()), ("input", input)];
    for (option, file) in files.into_iter().filter_map(|(option, file)| Some((option, file?))) {
        command += &format!(" --{option} {}", quoted_or_stream(file));
    }
    if reads_list {
        command.push_str(&options.list.over(&Preparation::default()).options());
    }
    if let Some(development) = options.development.filter(|_| reads_list) {
        command += &format!(" --development={development}");
    }
    if let Some(name) = &options.name {
        command += &format!(" --name {}", name.word());
    }
    command
}

/// Makes the page of `model`, or of its `rounded` form.
fn html(model: &Model, rounded: Option<&Model>, options: &ExportOptions) -> anyhow::Result<String> {
    if model.file.dtype() == Dtype::F32 && rounded.is_none() {
        // With more 8-bit weights than this, a page is too large.
        const LARGE: usize = 200_000;
        let bytes = number_format(model, Dtype::Int8, options)?.chip_bytes(model.language()).file;
        let dtype = if bytes < LARGE { Dtype::Int8 } else { Dtype::Int4 };
        bail!(
            "{}: a page draws from integers, and the weights of this model are floats; round them with: {}",
            model.source,
            command_with_quantize(model, options, dtype)
        );
    }
    let preparation = options.list.over(&Preparation::default());
    let (input, development) = (options.input.as_deref(), options.development);
    let waiting = Waiting::new("making the page", 0, false);
    let list = model.training_list(Wanted { input, preparation: &preparation, development })?;
    let training = list.as_ref().map_or(&[][..], |list| &list.corpus.training);
    let (page, bits) = page(model, rounded, training)?;
    drop(waiting);
    terminal::say(&match (&list, bits) {
        (None, _) => format!(
            "copies      are not marked: {} does not say which list it was trained on; name it with --input",
            model.source
        ),
        (Some(list), 0) if training.is_empty() => format!(
            "copies      are not marked: {} has no line that the model is known to be trained on",
            terminal::shown(&list.corpus.source)
        ),
        (Some(_), 0) => "copies      are not marked: the list is too long for a page".to_owned(),
        (Some(list), _) => format!(
            "copies      of {} of {} are marked, and one new name in {} by mistake",
            counted(training.len(), "line"),
            terminal::shown(&list.corpus.source),
            1_u32 << bits
        ),
    });
    Ok(page)
}

/// Makes the C sampler of `model`, of integers.
fn sampler<'a>(model: &Model<'a>, prefix: &'a Prefix) -> anyhow::Result<CSampler<'a>> {
    Ok(CSampler {
        file: model.file,
        tensors: model.config.network.format(model.file.dtype())?.stored(),
        bytes: model.bytes(),
        network: model.config.name,
        prefix,
    })
}

/// Writes the Arduino library of `model` into the folder `out`.
fn library(model: &Model, prefix: &Prefix, out: &Path, options: &ExportOptions) -> anyhow::Result<Outcome> {
    if out == Path::new("-") {
        bail!("--format arduino writes a folder, which cannot go to stdout; name the folder with --out");
    }
    if model.file.dtype() == Dtype::F32 {
        number_format(model, Dtype::Int8, options)?;
        bail!(
            "{}: an Arduino library computes in integers, and the weights of this model are floats; round \
             them with: {}",
            model.source,
            command_with_quantize(model, options, Dtype::Int8)
        );
    }
    let sampler = sampler(model, prefix)?;
    arduino::write(out, &arduino::library(&sampler))?;
    terminal::say(&format!("wrote the library folder {}, from {}", out.display(), model.source));
    if !sampler.fits_avr() {
        terminal::say(&terminal::note(
            "the model in this library is too large for AVR chips, such as that of the Uno: use a board \
             with another chip; for a model that fits, train one with: micro-diffusion train --config \
             convolution-chip --quantize int4",
        ));
    }
    Ok(Outcome::Done)
}

/// Rounds `model` to `dtype`; the report goes to stderr.
fn integers(model: &Model, dtype: Dtype, options: &ExportOptions) -> anyhow::Result<Vec<u8>> {
    let format = number_format(model, dtype, options)?;
    if model.file.dtype() == dtype {
        terminal::say(&format!("{} is {} already", model.source, dtype_name(dtype)));
        return Ok(model.bytes().to_vec());
    }
    let weights = model.weights()?;
    let preparation = options.list.over(&Preparation::default());
    let (input, development) = (options.input.as_deref(), options.development);
    let corpus = scoring_list(model, Wanted { input, preparation: &preparation, development })?;
    let training = &corpus.training[..LINES.min(corpus.training.len())];
    if training.is_empty() {
        bail!(
            "{}: the model knows the characters of none of these lines, and to round it to integers takes \
             lines like those that it was trained on; give its training list with --input",
            corpus.source
        );
    }
    terminal::say(&format!(
        "scaling     hidden values, by {} at each of {} scales",
        counted(training.len(), "training line"),
        quantise::FINEST + 1
    ));
    let waiting = Waiting::new("scaling", 0, false);
    let bytes = quantise::quantised(format, weights, model.language(), training)?.with_context(|| {
        format!(
            "{}: its weights are so large that sums of 32 bits would overflow; train a model for integers \
             on the same list, say list.txt, with: micro-diffusion train --input list.txt --quantize {}",
            model.source,
            dtype_name(dtype)
        )
    })?;
    drop(waiting);
    let mut quantised = ModelBytes::of_bytes(format!("{} in {}", model.source, dtype_name(dtype)), bytes);
    let quantised = quantised.open()?;
    report_integers(model, &quantised, &corpus.held_out)?;
    Ok(quantised.bytes().to_vec())
}

/// Tells that an export leaves retrieval behind.
fn warn_of_retrieval(model: &ModelBytes) {
    if model.retrieval.is_some() {
        terminal::say(&terminal::note(
            "the export is the network alone: it does not look letters up in the training lines, as this run does when it \
             draws, so its names differ from those of sample; for equal names, train a run with --retrieval off",
        ));
    }
}
