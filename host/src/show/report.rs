//! The report of a run, on one page that needs only a browser: masking, the birth of a name, names while the network
//! learned, and the scores.

use std::path::Path;

use anyhow::Context;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use micro_diffusion::bound;
use micro_diffusion::sampler::Order;
use serde_json::Value;

use crate::engine::configurations::Config;
use crate::engine::cost::evaluation_flops;
use crate::engine::description::{REPORT_IT, counted, shape_name};
use crate::engine::draw::{Drawn, ORDERS, Request, TEMPERATURE, order_name};
use crate::engine::preview::{self, Point, Seen};
use crate::engine::score::{Figure, Score};
use crate::files::corpus::Corpus;
use crate::files::model::Model;
use crate::files::novelty::{Known, Novelty};
use crate::files::run::{
    LOSS_PICTURE, MODEL, NAMES_PICTURE, REPORT, RunFolder, RunSettings, UNMASKING_PICTURE,
};
use crate::show::columns::{listed, with_error};
use crate::show::curves::{Record, curves, grouped};
use crate::show::marks::{Tally, mark};
use crate::show::statistics::Statistics;
use crate::show::story::{self, are_long, hero, middling_length};
use crate::show::svg::{emerging, page_colours, unmasking};

/// Names drawn with each sampler for the comparison; fewer where they would exceed [`FLOPS`].
const COMPARED: (f64, f64) = (200.0, 1000.0);
/// Most floating-point operations of the comparison.
const FLOPS: f64 = 2e11;
/// Names searched for a new one.
const SEARCHED: u32 = 200;
/// Scores that differ by less than this share are about equal.
const ALIKE: f64 = 0.005;

const STYLE: &str = include_str!("report/style.css");

/// Scores on held-out lines: a model's, and counting's.
pub(crate) struct Scores {
    pub(crate) model: Score,
    /// Random orders of each line.
    pub(crate) orders: u32,
    pub(crate) counting_nats: f64,
    pub(crate) counting_order: usize,
    /// The scored lines.
    pub(crate) lines: Vec<String>,
}

/// The contents of a report.
pub(crate) struct Report<'a> {
    pub(crate) config: &'a Config,
    pub(crate) corpus: &'a Corpus,
    pub(crate) settings: &'a RunSettings,
    pub(crate) losses: &'a [f32],
    /// Steps done when the reported state was the model.
    pub(crate) kept: usize,
    pub(crate) seen: &'a Seen,
    pub(crate) scores: Option<&'a Scores>,
    pub(crate) model: &'a Model<'a>,
    /// Drawn names with their states.
    pub(crate) drawn: &'a [Drawn],
    pub(crate) known: &'a Known<'a>,
    pub(crate) samplers: Vec<(Order, Statistics)>,
}

/// Compares the samplers by statistics of their names.
pub(crate) fn compare(model: &Model, corpus: &Corpus, seed: u64) -> anyhow::Result<Vec<(Order, Statistics)>> {
    let name = ORDERS.len() as f64 * evaluation_flops(model.file.shape());
    let names = (FLOPS / name).clamp(COMPARED.0, COMPARED.1) as u32;
    let statistics = |order| {
        let drawn = model.network.draw(&Request::of(order, TEMPERATURE, seed), 0..names)?;
        Ok((order, Statistics::new(&drawn, &corpus.training, &corpus.held_out)))
    };
    ORDERS.into_iter().map(statistics).collect()
}

impl Report<'_> {
    /// Writes the pictures and the page.
    pub(crate) fn save(&self, folder: &RunFolder) -> anyhow::Result<()> {
        let novelties: Vec<Novelty> =
            self.drawn.iter().map(|drawn| self.known.novelty(&drawn.text)).collect();
        let length = middling_length(&self.corpus.training);
        let more = if novelties.contains(&Novelty::New) { Vec::new() } else { self.more()? };
        let hero = hero(self.drawn.iter().chain(&more), self.known, length)
            .with_context(|| format!("the report has no name to show: {REPORT_IT}"))?;
        let (drawn, novelty) = hero;
        let record = self.scores.map(|scores| Record {
            step: self.kept,
            nats: scores.model.nelbo.nats,
            error: scores.model.nelbo.order_stderr.unwrap_or(0.0),
        });
        let curves = curves(self.losses, &self.seen.curve, record);
        folder.save(LOSS_PICTURE, curves.as_bytes())?;
        folder.save(UNMASKING_PICTURE, unmasking(self.model.alphabet(), drawn, novelty).as_bytes())?;
        folder.save(NAMES_PICTURE, emerging(self.drawn, &novelties).as_bytes())?;
        let page = self.page(&curves, &novelties, hero, length)?;
        folder.save(REPORT, page.into_string().as_bytes())
    }

    /// Draws more names, in search of a new one.
    fn more(&self) -> anyhow::Result<Vec<Drawn>> {
        let request = Request { trace: true, ..Request::new(self.settings.training.seed) };
        let first = self.drawn.len() as u32;
        self.model.network.draw(&request, first..first.max(SEARCHED))
    }

    fn page(
        &self,
        curves: &str,
        novelties: &[Novelty],
        hero: (&Drawn, Novelty),
        length: usize,
    ) -> anyhow::Result<Markup> {
        let source = file_name(&self.corpus.source);
        let title = format!("What a network learned from {source} · Micro Diffusion");
        let long = are_long(self.drawn.iter().map(|drawn| &*drawn.text));
        Ok(html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width,initial-scale=1";
                    title { (title) }
                    style { (PreEscaped(page_colours())) (PreEscaped(STYLE)) }
                }
                body class=(if long { "long" } else { "" }) {
                    main {
                        h1 { "What a network learned from " (source) }
                        (self.story(hero, length))
                        (self.growth())
                        (self.names(novelties))
                        (self.numbers())
                        (self.training(curves))
                        (self.samplers())
                        section { details { summary { h2 { "Settings" } } (self.settings()?) } }
                    }
                }
            }
        })
    }

    /// Shows masking on one line, forwards and backwards.
    fn story(&self, (drawn, novelty): (&Drawn, Novelty), length: usize) -> Markup {
        let seed = self.settings.training.seed;
        let (training, _) = self.settings.training.keep.split(&self.corpus.training);
        let line = training.iter().find(|line| line.chars().count() == length).or(training.first());
        let steps = self.model.network.choices(&drawn.frames, Request::new(seed).settings.temperature);
        html! {
            p.lead {
                "This is diffusion of text: noise hides the letters of a line, more and more, until nothing but masks is left. A "
                "network saw " (counted_in_groups(training.len(), "line")) " with letters hidden and learned to bring them back. So it can "
                "begin with masks alone and write new lines, and now and then one of the list."
            }
            @if let Some(line) = line {
                section {
                    h2 { "Hiding the letters of “" bdi { (line) } "”" }
                    p.quiet { "A line of the list that the network was trained on. Each letter is hidden with the probability on the left." }
                    (story::forward(line, seed))
                }
            }
            section {
                h2 { "Drawing “" bdi { (drawn.text) } "”" }
                p.quiet {
                    (match novelty {
                        Novelty::New => "A new name: it is no line of the list.",
                        Novelty::HeldOut => "A held-out line: it is in the list, and the network never saw it.",
                        Novelty::Training => "A training line: the network copied it, and no new name was found.",
                    })
                    " Its length is drawn first. Each step fills in one position, taken at random, with a letter drawn by lot: with "
                    "it stand the letters that the network thought likeliest there, and in bold the one that was drawn, now and then "
                    "an unlikely one."
                    @if drawn.frames.len() > story::STATES { " Some steps are left out." }
                }
                (story::reverse(self.model.alphabet(), drawn, &steps))
            }
        }
    }

    /// Shows the first names of each preview.
    fn growth(&self) -> Markup {
        // If an earlier state was kept, later previews are not of the model's past.
        let names = &self.seen.names;
        let names = &names[..names.partition_point(|(step, _)| *step as usize <= self.kept)];
        let all = names.iter().flat_map(|(_, names)| names).map(|name| self.known.novelty(name));
        html! {
            @if !names.is_empty() {
                section {
                    h2 { "The first names while it learned" }
                    p.quiet {
                        "Each place is one name, drawn with the same random numbers by the network as it then was. "
                        (signs(all.collect()))
                    }
                    (story::growth(names, self.known))
                }
            }
        }
    }

    /// Shows names of the model.
    fn names(&self, novelties: &[Novelty]) -> Markup {
        let all_new = novelties.iter().all(|novelty| *novelty == Novelty::New);
        let random = self.samplers.iter().find(|(order, _)| *order == Order::Random);
        html! {
            section {
                h2 { "Names of the finished model" }
                p.quiet {
                    "Names number 0 to " (self.drawn.len() - 1) " of seed " (self.settings.training.seed)
                    ", with the defaults of " code { "sample" } ": "
                    @if all_new { "all new." } @else { (Tally::of(novelties.iter().copied()).in_words(true)) "." }
                    @if let Some((_, statistics)) = random {
                        " Of " (grouped(statistics.sampled_names as u64)) " such names "
                        (story::percent(1.0 - statistics.novel)) " are training lines."
                    }
                }
                (story::names(self.drawn, novelties))
            }
        }
    }

    /// Shows the scores on one scale.
    fn numbers(&self) -> Markup {
        let Some(scores) = self.scores else { return html! {} };
        let Scores { model, counting_nats, counting_order, lines, .. } = scores;
        let (nelbo, nll, counting) = (&model.nelbo, &model.nll, *counting_nats);
        let untrained = self.seen.curve.first().filter(|point| point.step == 0).map(|point| point.nats);
        let letters =
            bound::mean(&lines.iter().map(|line| line.chars().count() as f64 + 1.0).collect::<Vec<_>>());
        let choices = |nats: f64| format!("{:.1}", (nats / letters).exp());
        let most = untrained.unwrap_or(0.0).max(counting).max(nll.nats);
        let row = |name: &str, what: &str, nats: f64, text: String, own: bool| {
            html! {
                tr.own[own] {
                    th scope="row" { (name) @if !what.is_empty() { span { (what) } } }
                    td.track { span style=(format!("--share:{:.3}", nats / most)) {} }
                    td.number { (text) }
                    td.number { (choices(nats)) }
                }
            }
        };
        let start = if self.settings.from.is_some() { "where it started" } else { "an untrained network" };
        html! {
            section {
                h2 { "Is that good?" }
                p { (verdict(nll, counting, self.kept == self.losses.len(), choices)) }
                table.scale {
                    caption.quiet {
                        "How surprised each is by " (counted_in_groups(lines.len(), "held-out line")) ", which it never saw: −ln p of a line, in "
                        "nats; less is better. In the last column, the same for each place of a line: as unsure as between so many equally "
                        "likely letters."
                    }
                    thead { tr {
                        th scope="col" { "who guesses" }
                        th aria-hidden="true" {}
                        th.number scope="col" { "nats a name" }
                        th.number scope="col" { "letters" }
                    } }
                    tbody {
                        @if let Some(nats) = untrained { (row(start, "NELBO before the first step", nats, format!("{nats:.2}"), false)) }
                        (row("counting letters", &format!("by n-grams of {}", counted(*counting_order, "character")), counting, format!("{counting:.2}"), false))
                        (row("this network", &self.size(), nll.nats, with_error(nll.nats, nll.stderr, 2), true))
                    }
                }
                p.quiet.after {
                    "The network can write a line in any order. −ln p is that of its probability over all orders, estimated from "
                    (scores.orders) " random ones, so it may be set beside counting, which has one order. What training lowers is the "
                    "NELBO (negative evidence lower bound), the mean of −ln p in each order, which is never less: "
                    (with_error(nelbo.nats, nelbo.stderr, 2)) " nats a name. ± is the standard error over lines."
                }
            }
        }
    }

    /// The size of the model: its parameters, and the lines that it looks up.
    fn size(&self) -> String {
        let parameters = format!("{} parameters", grouped(self.config.network.parameters() as u64));
        if self.model.retrieval.is_some() {
            let lines = counted_in_groups(self.corpus.training.len(), "training line");
            format!("{parameters}, and letters looked up in {lines}")
        } else {
            parameters
        }
    }

    /// Shows the curves and explains them.
    fn training(&self, curves: &str) -> Markup {
        let Seen { curve, .. } = self.seen;
        html! {
            section {
                h2 { "Training" }
                p.quiet {
                    "The training loss estimates the NELBO of the lines that are trained on"
                    @if self.settings.training.dropout > 0.0 { ", with dropout" }
                    @if let Some(weight) = self.settings.teacher_weight { ", with " (weight) " of each letter from the teachers" }
                    ". "
                    @if !curve.is_empty() { (self.about_estimate(curve)) }
                }
                figure { (PreEscaped(curves)) }
            }
        }
    }

    /// Explains the held-out curve.
    fn about_estimate(&self, curve: &[Point]) -> Markup {
        let error = curve.iter().filter_map(|point| point.error).fold(0.0, f64::max);
        let kept_earlier = self.kept < self.losses.len();
        html! {
            "The held-out curve is that of lines that the network never saw, from " (preview::ORDERS) " random orders of each; its band is two "
            "standard errors over the orders, at most " (format!("{:.2}", 2.0 * error)) " nats wide to each side. "
            @if self.settings.teachers.is_empty() { "Where the loss falls below the curve, the network knows its own lines better than others. " }
            @if let Some(scores) = self.scores {
                "The diamond is the score of record, from " (scores.orders) " orders of each of the "
                (counted_in_groups(scores.lines.len(), "line")) ", its error that over the orders, of the finished model"
                @if kept_earlier { ": its state after " (counted_in_groups(self.kept, "step")) ", the best by lines kept for choosing" }
                @if self.settings.training.quantize.is_some() { ", in integers" }
                @if self.model.retrieval.is_some() { ", with letters looked up in the training lines; the curve is of the network alone" }
                "."
            }
        }
    }

    fn samplers(&self) -> Markup {
        let Some((_, first)) = self.samplers.first() else { return html! {} };
        type Measure = (&'static str, &'static str, fn(&Statistics) -> f64);
        let measures: [Measure; 6] = [
            ("unique", "share of different names; more is better", |s| s.unique),
            ("novel", "share that is no training line", |s| s.novel),
            ("hits", "share of the novel that is a held-out line; more is better", |s| s.hit_rate),
            ("pairs", "of letters: distance from held-out lines; less is better", |s| s.jsd2_bits),
            ("triples", "of letters: distance; less is better", |s| s.jsd3_bits),
            ("lengths", "distance; less is better", |s| s.jsd_length_bits),
        ];
        html! {
            section {
                h2 { "Two orders of drawing" }
                table {
                    caption.quiet {
                        (grouped(first.sampled_names as u64)) " names with each, at the default temperature. “random” drew the names above; “confidence” fills in the surest position "
                        "first. Distances are Jensen–Shannon divergences, in bits."
                    }
                    thead { tr {
                        th scope="col" { "measure" }
                        @for (order, _) in &self.samplers { th.number scope="col" { (order_name(*order)) } }
                    } }
                    tbody {
                        @for (name, what, value) in measures {
                            tr {
                                th scope="row" { (name) span { (what) } }
                                @for (_, statistics) in &self.samplers { td.number { (format!("{:.3}", value(statistics))) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn settings(&self) -> anyhow::Result<Markup> {
        let network = self.config.network;
        let settings = serde_json::to_value(self.settings)?;
        let rows = settings.as_object().into_iter().flatten();
        let rows = rows.filter_map(|(key, value)| {
            let text = in_words(value)?;
            let text = match key.as_str() {
                "input" => file_name(&text),
                "from" => model_name(&text),
                _ => text,
            };
            let key = if key == "final_rate" { "final rate, of the learning rate" } else { key };
            Some((key.replace('_', " "), text))
        });
        Ok(html! {
            table.settings {
                tbody {
                    tr { th scope="row" { "network" } td { (shape_name(network.shape())) ", " (grouped(network.parameters() as u64)) " parameters" } }
                    tr { th scope="row" { "lines" } td { (grouped(self.corpus.training.len() as u64)) " to train on, " (grouped(self.corpus.held_out.len() as u64)) " held out" } }
                    tr { th scope="row" { "alphabet" } td { bdi { (listed(&self.corpus.alphabet)) } } }
                    @for (key, value) in rows { tr { th scope="row" { (key) } td { (value) } } }
                }
            }
        })
    }
}

/// The file name of `path`: readers of the page need not know the folders.
fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The file name of the model at `path`, or its run folder's.
fn model_name(path: &str) -> String {
    let run = Path::new(path).parent().and_then(Path::file_name).filter(|_| file_name(path) == MODEL);
    run.map_or_else(|| file_name(path), |run| run.to_string_lossy().into_owned())
}

/// A count with its noun, with commas.
fn counted_in_groups(count: usize, one: &str) -> String {
    format!("{} {one}{}", grouped(count as u64), if count == 1 { "" } else { "s" })
}

/// Explains the signs after names, of those in use.
fn signs(novelties: Vec<Novelty>) -> Markup {
    html! {
        @let marked = [Novelty::Training, Novelty::HeldOut].iter().filter(|kind| novelties.contains(kind));
        @for novelty in marked.clone() { (mark(*novelty).unwrap_or_default()) " is a " (novelty.name()) ", " }
        @if marked.count() > 0 { "the others are new." } @else { "All are new." }
    }
}

/// Judges −ln p beside that of `counting`. `choices` converts a score to the number of letters it is unsure between;
/// `whole` tells whether the run's last state is the model.
fn verdict(nll: &Figure, counting: f64, whole: bool, choices: impl Fn(f64) -> String) -> String {
    const COUNTING: &str = "counting which letters follow which, which takes no network and is hard to beat,";
    let unsure = format!("as unsure as between {} equally likely letters", choices(nll.nats));
    let apart = (nll.nats - counting).abs();
    if apart < 2.0 * nll.stderr.unwrap_or(0.0) && apart >= ALIKE * counting {
        return format!(
            "Hard to tell from so few lines: at each place of a line it never saw it is {unsure}."
        );
    }
    if apart < ALIKE * counting {
        return format!(
            "Fair: at each place of a line it never saw it is {unsure}, and {COUNTING} is about as good."
        );
    }
    let counted = format!("{COUNTING} leaves {}", choices(counting));
    if nll.nats < counting {
        format!(
            "Good: at each place of a line it never saw it is {unsure}; {counted}. That is {apart:.2} nats a line better."
        )
    } else {
        let more = if whole { "More steps help, or more lines" } else { "More lines help" };
        format!(
            "Not yet: at each place of a line it never saw it is {unsure}; {counted}. {more}; with few lines counting is hard \
             to beat."
        )
    }
}

/// A setting in words; `None` where it says nothing.
fn in_words(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some("yes".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Array(values) => Some(values.iter().filter_map(in_words).collect::<Vec<_>>().join(", ")),
        // A teacher.
        Value::Object(fields) => fields.get("path").and_then(Value::as_str).map(model_name),
        Value::Number(number) => Some(number.to_string()),
    }
}
