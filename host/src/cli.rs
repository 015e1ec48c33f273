//! The command line: verbs, options, defaults and their ranges.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::ensure;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use micro_diffusion::categorical::Temperature;
use micro_diffusion::sampler::Order;

use crate::engine::configurations;
use crate::engine::draw::{self, Request, Schedule, order_name};
use crate::engine::retrieval::Retrieval;
use crate::engine::score;
use crate::engine::settings::{IntegerFormat, Keep, Settings};
use crate::files::format::FileFormat;
use crate::files::prefix::Prefix;
use crate::files::preparation::Preparation;

/// The end of a command, as its exit code.
pub(crate) enum Outcome {
    /// Done: 0.
    Done,
    /// Stopped by the user with the work saved: 130, as for any interrupted program.
    Interrupted,
}

/// Masked text diffusion: names emerge from masks, letter by letter, in any order.
#[derive(Parser)]
#[command(
    name = "micro-diffusion",
    version,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Examples:\n  micro-diffusion sample --watch\n  micro-diffusion train --input words.txt\n\nEach verb has --help. Results go to stdout, all else to stderr."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// Worker threads [default: one for each core]; the results do not depend on it
    #[arg(long, global = true, value_parser = clap::value_parser!(u16).range(1..=256), allow_negative_numbers = true)]
    threads: Option<u16>,
}

impl Arguments {
    pub(crate) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Train a model on a text file, one example a line
    #[command(
        after_help = "Examples:\n  micro-diffusion train\n  micro-diffusion train --input words.txt --out runs/words\n  micro-diffusion train --out runs/words --resume --steps 20000\n  cut -d: -f1 /etc/passwd | micro-diffusion train --input -"
    )]
    Train(TrainOptions),
    /// Print names drawn from a model
    #[command(
        after_help = "Examples:\n  micro-diffusion sample --watch\n  micro-diffusion sample --watch --speed 2\n  micro-diffusion sample --num 5 --temperature 0.9 --seed 7\n  micro-diffusion sample --pattern 'm?r?a'\n  micro-diffusion sample --pattern 'jo*' --length 6\n  micro-diffusion sample --novel --unique --num 100"
    )]
    Sample(SampleOptions),
    /// Score a model on held-out lines
    #[command(after_help = "Example:\n  micro-diffusion eval --model runs/names --json")]
    Eval(EvalOptions),
    /// Say how likely a model finds texts, and how surprising each of their letters
    #[command(
        after_help = "Examples:\n  micro-diffusion score emma brooklynn\n  micro-diffusion score --json - < words.txt"
    )]
    Score(ScoreOptions),
    /// Show a text at rising noise levels: the forward process
    #[command(after_help = "Example:\n  micro-diffusion noise josephine")]
    Noise(NoiseOptions),
    /// Print names at several temperatures side by side
    #[command(after_help = "Example:\n  micro-diffusion sweep --num 8")]
    Sweep(SweepOptions),
    /// Measure training and sampling on this machine
    #[command(after_help = "Example:\n  micro-diffusion bench --threads 1")]
    Bench(BenchOptions),
    /// Say what a model file, checkpoint or run folder is
    #[command(after_help = "Example:\n  micro-diffusion inspect runs/names/model.mdm")]
    Inspect(InspectOptions),
    /// Write a model in the form that other programs take
    #[command(
        after_help = "Examples:\n  micro-diffusion export --out names.safetensors\n  micro-diffusion export --format c --quantize int8 --model runs/names --out names.h\n  micro-diffusion export --format arduino --model runs/names --quantize int8 --out Names\n  micro-diffusion export --format html --model runs/names --quantize int8 --out names.html\n  micro-diffusion export --format mdm --model trained_elsewhere.safetensors --out model.mdm"
    )]
    Export(ExportOptions),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  micro-diffusion completions bash > ~/.local/share/bash-completion/completions/micro-diffusion"
    )]
    Completions(CompletionsOptions),
    /// Print the manual page of the program or of a verb
    #[command(after_help = "Example:\n  micro-diffusion man train | man -l -")]
    Man(ManOptions),
}

#[derive(Args)]
pub(crate) struct TrainOptions {
    /// List in UTF-8 or marked UTF-16, one example a line, every tenth held out; - is stdin
    /// [default: data/names.txt]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
    /// Run folder for the model, settings, losses, checkpoint, pictures and report; an earlier run there is moved aside
    /// [default: runs/ and the input's name]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: Option<PathBuf>,
    /// Network [default: perceptron if it has room for the text, else convolution-medium]; the text chooses its room
    #[arg(long, value_parser = network_name())]
    pub(crate) config: Option<String>,
    /// Optimiser steps. With --resume and more steps than before, the run goes on past its end: the learning rate rises
    /// and falls once more in the added steps [default: by the network, the number of lines and their length]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub(crate) steps: Option<u32>,
    /// Lines in each step [default: the network's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536), allow_negative_numbers = true)]
    pub(crate) batch: Option<u32>,
    /// Peak learning rate [default: the network's]
    #[arg(long, value_parser = positive, allow_hyphen_values = true)]
    pub(crate) lr: Option<f64>,
    /// Adam's weight decay for each unit of learning rate [default: by the network, the number of lines and their length]
    #[arg(long, value_parser = not_negative, allow_hyphen_values = true)]
    pub(crate) weight_decay: Option<f64>,
    /// Save an average of the weights as the model. Each step keeps this share of it, such as 0.999; 0 means no average
    /// [default: the network's]
    #[arg(long, value_name = "SHARE", value_parser = below_one, allow_hyphen_values = true)]
    pub(crate) averaging: Option<f64>,
    /// Probability of dropping a hidden value while training, such as 0.1, rounded to 256ths; 0 means none. Helps where a
    /// long run would learn the lines by heart; not with --quantize [default: by the network, the number of lines and
    /// their length]
    #[arg(long, value_name = "RATE", value_parser = dropout, allow_hyphen_values = true)]
    pub(crate) dropout: Option<f64>,
    /// Train for a model of integers: its weights are rounded in the second half of the steps, and the model file holds them
    #[arg(long, value_parser = integer_format())]
    pub(crate) quantize: Option<IntegerFormat>,
    /// State of the run that becomes the model [default: best for fewer than 5,000 training lines, else last]
    #[arg(long, value_parser = keep())]
    pub(crate) keep: Option<Keep>,
    /// Start from the weights of this model instead of random ones; it must have the network and every character of the
    /// lines
    #[arg(long, value_name = "MODEL", conflicts_with = "resume")]
    pub(crate) from: Option<PathBuf>,
    /// Learn from trained models too, by the mean of their probabilities: model files, run folders, built-in or
    /// built-in-int4, separated by commas. Each must have exactly the characters of the lines
    #[arg(long, value_name = "MODEL", value_delimiter = ',', value_parser = clap::builder::NonEmptyStringValueParser::new().map(PathBuf::from))]
    pub(crate) teacher: Vec<PathBuf>,
    /// Share of the teachers in what each masked letter is to predict, 0 to 1; the rest is the letter that was there [default: 0.9]
    #[arg(long, value_name = "SHARE", value_parser = up_to_one, allow_hyphen_values = true)]
    pub(crate) teacher_weight: Option<f64>,
    /// Look letters up in the training lines too, wherever the model draws or scores in its run folder [default: auto]
    #[arg(long, value_parser = retrieval())]
    pub(crate) retrieval: Option<Retrieval>,
    /// Seed of weights, order and noise [default: 1]
    #[arg(long, value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// Hold out every tenth training line instead, for choosing settings
    #[arg(long)]
    pub(crate) development: bool,
    /// Go on with the run in the run folder from its last checkpoint
    #[arg(long)]
    pub(crate) resume: bool,
    /// Steps between checkpoints
    #[arg(long, value_name = "STEPS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub(crate) save_every: u32,
    /// Skip the held-out scores, during and after training, and the names at the end
    #[arg(long)]
    pub(crate) no_eval: bool,
    /// Skip everything to look at: the forward process, names during training, the unmasking, loss.svg, unmasking.svg,
    /// names.svg and report.html
    #[arg(long)]
    pub(crate) no_pictures: bool,
    /// Print nothing but results
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// Options for reading a list.
#[derive(Args)]
pub(crate) struct ListOptions {
    /// Take one column of a table (CSV, TSV): a name from its first row, or a number from 1, which reads the first row
    /// too [default: that of the run, if there is one]
    #[arg(long, value_name = "NAME|NUMBER", value_parser = clap::builder::NonEmptyStringValueParser::new(), requires = "input")]
    column: Option<String>,
    /// Write everything in lower case; the model remembers
    #[arg(long, requires = "input")]
    lowercase: bool,
}

impl ListOptions {
    /// Takes these options, and else the `stored` ones of a run.
    pub(crate) fn over(&self, stored: &Preparation) -> Preparation {
        Preparation { column: self.column.clone(), lowercase: self.lowercase }.over(stored)
    }
}

#[derive(Args)]
pub(crate) struct ModelOption {
    /// Model file (.mdm or .safetensors), run folder, built-in (the transformer that comes along) or built-in-int4 (the
    /// perceptron in 4-bit integers) [default: the newest finished run in runs/ of 1000 steps or more, else built-in]
    #[arg(long, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,
}

/// Temperatures that can be calibrated.
const CALIBRATED: RangeInclusive<f64> = 0.1..=10.0;

/// Options for drawing names.
#[derive(Args)]
pub(crate) struct DrawOptions {
    /// Below 1 prefers the likely, 0 always takes the likeliest
    #[arg(long, short, default_value_t = draw::TEMPERATURE, value_parser = temperature, allow_hyphen_values = true)]
    pub(crate) temperature: f64,
    /// Order in which positions are revealed
    #[arg(long, value_parser = order(), default_value = order_name(draw::ORDER))]
    pub(crate) sampler: Order,
    /// Positions revealed in each step: evenly, or few at first
    #[arg(long, value_parser = schedule(), default_value = draw::SCHEDULE.name())]
    pub(crate) schedule: Schedule,
    /// Unmasking steps; fewer are faster and coarser [default: one for each letter]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    pub(crate) steps: Option<u16>,
    /// Times to draw each letter anew after the last step, from all others. Names become likelier and repeat more often, so raise
    /// --temperature, unless with --calibrate. Each time costs an evaluation for each letter
    #[arg(long, value_name = "TIMES", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=100), allow_negative_numbers = true)]
    pub(crate) redraws: u16,
    /// Draw only from this many of the likeliest symbols [default: all]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    pub(crate) top_k: Option<u16>,
    /// Draw only from the likeliest symbols that hold this share of the probability, above 0 and at most 1 [default: 1]
    #[arg(long, value_parser = share, allow_hyphen_values = true)]
    pub(crate) top_p: Option<f64>,
    /// Bring pairs and triples of letters nearer to their frequencies in the training lines; for temperatures from 0.1 to
    /// 10 in random order; first draws up to 160,000 names
    #[arg(long)]
    pub(crate) calibrate: bool,
}

#[derive(Args)]
pub(crate) struct SampleOptions {
    #[command(flatten)]
    pub(crate) model: ModelOption,
    /// Number of names
    #[arg(long, short, value_name = "NAMES", default_value_t = 20, allow_negative_numbers = true)]
    pub(crate) num: u32,
    #[command(flatten)]
    pub(crate) draw: DrawOptions,
    /// Pattern of the names: letters stand for themselves, ? for any one letter, * for any number of them
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) pattern: Option<String>,
    /// Number of letters of each name
    #[arg(long, value_name = "LETTERS", value_parser = count, allow_negative_numbers = true)]
    pub(crate) length: Option<usize>,
    /// Seed; name number n of a seed is always the same
    #[arg(long, default_value_t = 1, value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Leave out every line of the list that the model was trained on, held-out ones too
    #[arg(long)]
    pub(crate) novel: bool,
    /// Leave out repeats
    #[arg(long)]
    pub(crate) unique: bool,
    /// List that tells which names are new, and that --novel leaves out; - is stdin [default: that of the model's run]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
    /// Show the names emerging, in place; off a terminal, print them as usual
    #[arg(long, conflicts_with_all = ["trace", "json"])]
    pub(crate) watch: bool,
    /// Unmasking steps that --watch shows in a second, 0.1 to 100 [default: six, or more where that takes longer than 2.4 s]
    #[arg(long, value_name = "STEPS", value_parser = speed, requires = "watch", allow_hyphen_values = true)]
    pub(crate) speed: Option<f64>,
    /// Show each name emerging, all states on a line
    #[arg(long)]
    pub(crate) trace: bool,
    /// Print one JSON object instead
    #[arg(long, conflicts_with = "trace")]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct EvalOptions {
    #[command(flatten)]
    pub(crate) model: ModelOption,
    /// List whose every tenth line is scored; - is stdin [default: that of the model's run, the built-in names for a
    /// built-in model, else data/names.txt]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
    /// Names to draw for the statistics; 0 skips them
    #[arg(long, short, default_value_t = 10_000, allow_negative_numbers = true)]
    pub(crate) num: u32,
    #[command(flatten)]
    pub(crate) draw: DrawOptions,
    /// Score every tenth training line instead, as train --development holds out [default: as the model's run did]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) development: Option<bool>,
    /// Random orders in which each line is scored
    #[arg(long, default_value_t = score::ORDERS, value_parser = clap::value_parser!(u32).range(1..=10_000), allow_negative_numbers = true)]
    pub(crate) orders: u32,
    /// Score only this many lines, evenly spread [default: all]
    #[arg(long, value_name = "LINES", value_parser = count, allow_negative_numbers = true)]
    pub(crate) lines: Option<usize>,
    /// Score the lines exactly too, by every subset of positions; for models of up to 12 positions
    #[arg(long)]
    pub(crate) exact: bool,
    /// Seed of the orders and the names
    #[arg(long, default_value_t = 1, value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ScoreOptions {
    /// The texts; - stands for the lines of stdin
    #[arg(required = true, value_name = "TEXT")]
    pub(crate) texts: Vec<String>,
    #[command(flatten)]
    pub(crate) model: ModelOption,
    /// Random orders in which each text is scored
    #[arg(long, default_value_t = score::ORDERS, value_parser = clap::value_parser!(u32).range(1..=10_000), allow_negative_numbers = true)]
    pub(crate) orders: u32,
    /// Seed of the orders
    #[arg(long, default_value_t = 1, value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct NoiseOptions {
    /// The text
    #[arg(default_value = "josephine")]
    pub(crate) text: String,
    /// Seed of the masks
    #[arg(long, default_value_t = 1, value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: u64,
}

#[derive(Args)]
pub(crate) struct SweepOptions {
    #[command(flatten)]
    pub(crate) model: ModelOption,
    /// Number of names at each temperature
    #[arg(long, short, default_value_t = 10, allow_negative_numbers = true)]
    pub(crate) num: u32,
    /// List that tells which names are new; - is stdin [default: that of the model's run]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
    /// Order in which positions are revealed
    #[arg(long, value_parser = order(), default_value = order_name(draw::ORDER))]
    pub(crate) sampler: Order,
    /// Seed, one for all temperatures
    #[arg(long, default_value_t = 1, value_parser = seed, allow_negative_numbers = true)]
    pub(crate) seed: u64,
}

#[derive(Args)]
pub(crate) struct BenchOptions {
    /// Network
    #[arg(long, default_value = configurations::DEFAULT, value_parser = network_name())]
    pub(crate) config: String,
    /// Lines in each step [default: the network's]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=65_536), allow_negative_numbers = true)]
    pub(crate) batch: Option<u32>,
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct InspectOptions {
    /// Model file (.mdm or .safetensors), checkpoint (.safetensors) or run folder [default: the model that sample uses]
    pub(crate) file: Option<PathBuf>,
    /// Model, as the other verbs take it
    #[arg(long, value_name = "PATH", conflicts_with = "file")]
    pub(crate) model: Option<PathBuf>,
    /// Print one JSON object instead
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ExportOptions {
    #[command(flatten)]
    pub(crate) model: ModelOption,
    /// Format [default: by the ending of --out, else safetensors]
    #[arg(long, value_parser = file_format())]
    format: Option<FileFormat>,
    /// File to write, or folder for arduino; - is stdout [default: beside the model, with the format's ending]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Round a model of floats first, for --format c, arduino and html, which draw texts
    #[arg(long, value_parser = integer_format())]
    pub(crate) quantize: Option<IntegerFormat>,
    /// Word before every C name of --format c and arduino, so that several models fit in one program [default: that of
    /// the written file or folder, or of the model for stdout]
    #[arg(long, value_name = "WORD", value_parser = Prefix::new)]
    pub(crate) name: Option<Prefix>,
    /// List that scales integers by its training lines, scores them by its held-out lines, and marks copies on a page; -
    /// is stdin [default: that of the model's run, the built-in names for a built-in model, else data/names.txt]
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) list: ListOptions,
    /// Score every tenth training line instead, as train --development holds out [default: as the model's run did]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) development: Option<bool>,
}

#[derive(Args)]
pub(crate) struct CompletionsOptions {
    /// Shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args)]
pub(crate) struct ManOptions {
    /// Verb [default: the whole program]
    pub(crate) verb: Option<String>,
}

impl TrainOptions {
    /// Takes these options, and else `settings`.
    pub(crate) fn over(&self, settings: Settings) -> Settings {
        Settings {
            config: self.config.clone().unwrap_or(settings.config),
            steps: self.steps.unwrap_or(settings.steps),
            batch: self.batch.unwrap_or(settings.batch),
            learning_rate: self.lr.unwrap_or(settings.learning_rate),
            weight_decay: self.weight_decay.unwrap_or(settings.weight_decay),
            averaging: self.averaging.unwrap_or(settings.averaging),
            dropout: self.dropout.unwrap_or(if self.quantize.is_some() { 0.0 } else { settings.dropout }),
            quantize: self.quantize.or(settings.quantize),
            keep: self.keep.unwrap_or(settings.keep),
            seed: self.seed.unwrap_or(settings.seed),
            ..settings
        }
    }
}

impl ExportOptions {
    /// The format to write.
    pub(crate) fn format(&self) -> FileFormat {
        self.format.or_else(|| self.ending()).unwrap_or(FileFormat::Safetensors)
    }

    /// The format that the ending of the file to write names, if any.
    pub(crate) fn ending(&self) -> Option<FileFormat> {
        FileFormat::of_ending(self.out.as_deref()?)
    }
}

impl DrawOptions {
    /// Checks that the options go together.
    ///
    /// # Errors
    /// Calibration is for another order or temperature.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !self.calibrate || self.sampler == Order::Random,
            "--calibrate is for draws in random order; leave out --sampler"
        );
        ensure!(
            !self.calibrate || CALIBRATED.contains(&self.temperature),
            "--calibrate is for temperatures from {} to {}; give --temperature {} or leave out --calibrate",
            CALIBRATED.start(),
            CALIBRATED.end(),
            draw::TEMPERATURE
        );
        Ok(())
    }

    /// Whether `num` names are drawn with calibration.
    pub(crate) fn calibrates(&self, num: u32) -> bool {
        self.calibrate && num > 0
    }

    /// Requests free texts.
    pub(crate) fn request(&self, seed: u64) -> Request {
        let mut request = Request {
            schedule: self.schedule,
            steps: self.steps,
            redraws: self.redraws,
            ..Request::of(self.sampler, self.temperature, seed)
        };
        let settings = &mut request.settings;
        settings.top_k = self.top_k.unwrap_or(settings.top_k);
        settings.top_p =
            self.top_p.map_or(settings.top_p, |share| (share * f64::from(settings.top_p)).ceil() as u32);
        request
    }
}

fn keep() -> impl TypedValueParser<Value = Keep> {
    one_of([
        (
            Keep::Best,
            Keep::Best.name(),
            "The one that scores every tenth training line best; these are not trained on",
        ),
        (Keep::Last, Keep::Last.name(), "The last"),
    ])
}

fn retrieval() -> impl TypedValueParser<Value = Retrieval> {
    let help = |retrieval| match retrieval {
        Retrieval::Auto => {
            "For 5,000 training lines and 1,000 steps or more, if counting letters predicts some lines better than the network and lookup helps"
        }
        Retrieval::On => "Always",
        Retrieval::Off => "Never: the network alone",
    };
    one_of([Retrieval::Auto, Retrieval::On, Retrieval::Off].map(|each| (each, each.name(), help(each))))
}

fn integer_format() -> impl TypedValueParser<Value = IntegerFormat> {
    one_of([
        (IntegerFormat::Int8, "int8", "A byte for each weight"),
        (IntegerFormat::Int4, "int4", "Half a byte for each weight"),
    ])
}

/// A former order, hidden from help and completions; `confidence` draws alike.
const ENTROPY: &str = "entropy";

/// Reads `--sampler`. A former order is an error that names its successor.
fn order() -> impl TypedValueParser<Value = Order> {
    let help = |order| match order {
        Order::Random => "Random positions: draws from the learned distribution",
        Order::Confidence => "The positions whose likeliest symbol is the most probable: sharper names",
    };
    let present = draw::ORDERS.map(|order| PossibleValue::new(order_name(order)).help(help(order)));
    let old = PossibleValue::new(ENTROPY).hide(true);
    PossibleValuesParser::new(present.into_iter().chain([old])).try_map(|name| {
        let found = draw::ORDERS.into_iter().find(|order| order_name(*order) == name);
        let confidence = order_name(Order::Confidence);
        found.ok_or_else(|| {
            format!(
                "this order was removed, since {confidence} draws names as good; write --sampler \
                 {confidence}"
            )
        })
    })
}

fn schedule() -> impl TypedValueParser<Value = Schedule> {
    one_of([
        (Schedule::Linear, Schedule::Linear.name(), "As many in each step"),
        (
            Schedule::Cosine,
            Schedule::Cosine.name(),
            "Few at first, many at the end, as the Python reference does, which takes 40 steps: --steps 40",
        ),
    ])
}

fn file_format() -> impl TypedValueParser<Value = FileFormat> {
    let help = |format| match format {
        FileFormat::Mdm => "This program's model file, which firmware reads in place",
        FileFormat::Safetensors => "Tensors by name, for PyTorch, NumPy and candle",
        FileFormat::C => {
            "A C header: of a model of integers, or with --quantize, one that draws texts; of floats, const arrays"
        }
        FileFormat::Arduino => "A library folder for Arduino and PlatformIO around the C that draws texts",
        FileFormat::Rust => "A Rust module of static arrays",
        FileFormat::Int8 => {
            "A model file of 8-bit integers, for firmware without floats: a quarter of the size"
        }
        FileFormat::Int4 => {
            "A model file of 4-bit integers: an eighth; train with --quantize int4 for one that loses little"
        }
        FileFormat::Html => {
            "A page that draws names in a browser, by itself, from a model of integers, or with --quantize; without --model from built-in-int4"
        }
    };
    one_of(FileFormat::ALL.map(|format| (format, format.name(), help(format))))
}

/// Parses one of `choices`: (value, name on the command line, help).
fn one_of<T: Copy + Send + Sync + 'static, const N: usize>(
    choices: [(T, &'static str, &'static str); N],
) -> impl TypedValueParser<Value = T> {
    let names = choices.map(|(_, name, help)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(names).try_map(move |name| {
        let found = choices.iter().find(|(_, choice, _)| *choice == name);
        found.map(|(value, ..)| *value).ok_or("must be one of the values that --help lists")
    })
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("must be a whole number from 0 to {}", u64::MAX))
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "must be a whole number, 1 or more".to_owned())
}

/// The number `text`, if it `fits`.
fn number(text: &str, fits: impl Fn(f64) -> bool) -> Option<f64> {
    text.parse().ok().filter(|value| fits(*value))
}

fn temperature(text: &str) -> Result<f64, String> {
    number(text, |value| Temperature::new(value).is_some())
        .ok_or_else(|| "must be a number, 0 or more, such as 0.68".to_owned())
}

fn speed(text: &str) -> Result<f64, String> {
    number(text, |value| (0.1..=100.0).contains(&value))
        .ok_or_else(|| "must be a number of steps a second from 0.1 to 100".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1.0)
        .ok_or_else(|| "must be a number above 0 and at most 1".to_owned())
}

fn below_one(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..1.0).contains(&value))
        .ok_or_else(|| "must be a number, at least 0 and less than 1".to_owned())
}

fn up_to_one(text: &str) -> Result<f64, String> {
    number(text, |value| (0.0..=1.0).contains(&value))
        .ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

/// Refuses rates that [`Dropout`](micro_diffusion::dropout::Dropout) would round to 0.
fn dropout(text: &str) -> Result<f64, String> {
    number(text, |value| value == 0.0 || (1.0 / 256.0..1.0).contains(&value))
        .ok_or_else(|| "must be 0, or a number of at least 1/256 (0.00390625) and less than 1".to_owned())
}

fn not_negative(text: &str) -> Result<f64, String> {
    number(text, |value| value >= 0.0 && value.is_finite())
        .ok_or_else(|| "must be a number, 0 or more".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value.is_finite())
        .ok_or_else(|| "must be a number above 0".to_owned())
}

/// Reads `--config`. Help and completions list the present names. A former name is an error that gives the present one.
fn network_name() -> impl TypedValueParser<Value = String> {
    let present = configurations::FAMILIES.iter().map(|family| PossibleValue::new(family.name));
    let old = configurations::RENAMED.iter().map(|(old, _)| PossibleValue::new(old).hide(true));
    PossibleValuesParser::new(present.chain(old)).try_map(|name| match configurations::renamed(&name) {
        Some(new) => Err(format!("this network is now called {new}; write --config {new}")),
        None => Ok(name),
    })
}
