//! The report of a run: pictures, scores, names and settings on one page that needs nothing but a browser.

use anyhow::Context;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use micro_diffusion::sampler::Order;

use crate::engine::configurations::Config;
use crate::engine::cost::evaluation_flops;
use crate::engine::description::shape_name;
use crate::engine::draw::{Drawn, ORDERS, Request, TEMPERATURE, order_name};
use crate::engine::preview;
use crate::engine::score::{Figure, Score};
use crate::files::corpus::Corpus;
use crate::files::model::Model;
use crate::files::run::{LOSS_PICTURE, NAMES_PICTURE, REPORT, RunFolder, RunSettings, UNMASKING_PICTURE};
use crate::show::columns::{listed, with_error};
use crate::show::statistics::Statistics;
use crate::show::svg;

/// Names drawn with each sampler to compare them, fewer where they would take more than [`FLOPS`].
const COMPARED: (f64, f64) = (200.0, 1000.0);
/// Floating-point operations that the comparison may take.
const FLOPS: f64 = 2e11;

/// How well a model knows held-out lines, and how well counting does.
pub(crate) struct Scores {
    pub(crate) model: Score,
    pub(crate) counting_nats: f64,
    pub(crate) counting_order: usize,
}

/// What is reported.
pub(crate) struct Report<'a> {
    pub(crate) config: &'a Config,
    pub(crate) corpus: &'a Corpus,
    pub(crate) settings: &'a RunSettings,
    pub(crate) losses: &'a [f32],
    /// Pairs of (steps done, estimated held-out NELBO in nats).
    pub(crate) held_out: &'a [(u32, f64)],
    pub(crate) scores: Option<&'a Scores>,
    /// Names with their states.
    pub(crate) drawn: &'a [Drawn],
    /// Which of them are copies of training lines.
    pub(crate) copies: &'a [bool],
    pub(crate) samplers: Vec<(Order, Statistics)>,
}

/// What each sampler's names are like.
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
        let first = self.drawn.first().context("no name to show")?;
        let curves = svg::curves(self.losses, self.held_out)?;
        let unmasking = svg::unmasking(self.corpus.language()?.alphabet, &first.frames, &first.text);
        folder.save(LOSS_PICTURE, curves.as_bytes())?;
        folder.save(UNMASKING_PICTURE, unmasking.as_bytes())?;
        let names = svg::emerging(self.drawn);
        folder.save(NAMES_PICTURE, names.as_bytes())?;
        folder.save(REPORT, self.page(&curves, &unmasking, &names)?.into_string().as_bytes())
    }

    fn page(&self, curves: &str, unmasking: &str, names: &str) -> anyhow::Result<Markup> {
        let title = format!("{} · Micro Diffusion", self.corpus.source);
        Ok(html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width,initial-scale=1";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { "What " b { (self.config.title()) } " learned from " b { (self.corpus.source) } }
                    (self.summary())
                    h2 { "Names" }
                    p.note { "Names number 0 to " (self.drawn.len() - 1) " of seed " (self.settings.training.seed)
                        ", with the defaults of " code { "sample" } ". "
                        @let copies = self.copies.iter().filter(|copy| **copy).count();
                        @if copies == 0 { "All are new." } @else { (if copies == 1 { "One is a copy of a training line".to_owned() } else { format!("{copies} are copies of training lines") }) ", in grey." } }
                    figure { (PreEscaped(names)) }
                    ul.names { @for (drawn, copy) in self.drawn.iter().zip(self.copies) { @if *copy { li.copy { (drawn.text) } } @else { li { (drawn.text) } } } }
                    h2 { "How the first name emerged" }
                    figure { (PreEscaped(unmasking)) }
                    h2 { "Training" }
                    figure { (PreEscaped(curves)) }
                    (self.about_curves())
                    (self.samplers())
                    h2 { "Settings" }
                    (self.settings()?)
                }
            }
        })
    }

    /// The few numbers to see first.
    fn summary(&self) -> Markup {
        let tile = |value: String, what: &str| html! { div.tile { b { (value) } span { (what) } } };
        html! {
            div.tiles {
                @if let Some(Scores { model: score, counting_nats, counting_order }) = self.scores {
                    @let figure = |figure: &Figure| with_error(figure.nats, figure.stderr, 2);
                    (tile(figure(&score.nelbo), "held-out NELBO, nats a name"))
                    (tile(figure(&score.nll), &format!("held-out −ln p, from {} orders", self.config.ending.1)))
                    (tile(format!("{counting_nats:.2}"), &format!("counting, by n-grams of {counting_order} characters")))
                }
                (tile(self.config.network.parameters().to_string(), "parameters"))
                (tile(format!("{} × {}", self.settings.training.steps, self.settings.training.batch), "steps × batch"))
                (tile(self.corpus.training.len().to_string(), "training lines"))
            }
        }
    }

    /// What the curves are of.
    fn about_curves(&self) -> Markup {
        html! {
            p.note {
                "The training loss is an upper bound on −ln p(name), in nats; lower is better. "
                @if !self.held_out.is_empty() {
                    "The held-out curve estimates the same bound from " (preview::ROWS)
                    " masked lines that were never trained on."
                }
            }
        }
    }

    fn samplers(&self) -> Markup {
        let Some((_, first)) = self.samplers.first() else { return html! {} };
        html! {
            h2 { "Samplers" }
            p.note { (first.sampled_names) " names with each, at the default temperature. Novel: not a training line. Hits: \
                held-out lines among the novel. Divergence (Jensen–Shannon, from the held-out lines) is of letter \
                pairs, triples and lengths, in bits; lower is closer." }
            table {
                tr { th { "order" } th { "unique" } th { "novel" } th { "hits" } th { "pairs" } th { "triples" } th { "lengths" } }
                @for (order, s) in &self.samplers {
                    tr {
                        td { (order_name(*order)) }
                        @for value in [s.unique, s.novel, s.hit_rate, s.jsd2_bits, s.jsd3_bits, s.jsd_length_bits] {
                            td { (format!("{value:.3}")) }
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
        let text =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Ok(html! {
            table.settings {
                tr { td { "network" } td { (shape_name(network.shape())) } }
                tr { td { "held-out lines" } td { (self.corpus.held_out.len()) } }
                tr { td { "alphabet" } td { (listed(&self.corpus.alphabet)) } }
                @for (key, value) in rows {
                    tr { td { (key.replace('_', " ")) } td { (text(value)) } }
                }
            }
        })
    }
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1f2933;--soft:#667382;--line:#8884;--card:#8881}\
@media(prefers-color-scheme:dark){:root{--ink:#e4e9f0;--soft:#94a1b2}body{background:#14181e}}\
body{font:16px/1.5 ui-sans-serif,system-ui,sans-serif;color:var(--ink);max-width:860px;margin:3rem auto;padding:0 1rem}\
h1{font-weight:500;font-size:1.7rem;line-height:1.25}h2{font-size:1.15rem;margin:2.6rem 0 .4rem}\
.note{color:var(--soft);margin:.2rem 0 .8rem;font-size:.93rem}\
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:.8rem;margin:1.4rem 0}\
.tile{background:var(--card);border-radius:10px;padding:.8rem 1rem}\
.tile b{display:block;font-size:1.35rem;font-weight:600}.tile span{color:var(--soft);font-size:.85rem}\
.copy{color:var(--soft)}.names{list-style:none;padding:0;margin:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:.15rem 1rem;font-size:1.1rem}\
figure{margin:.6rem 0;overflow-x:auto}figure svg{max-width:100%;height:auto}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\
td,th{text-align:right;padding:.22rem .7rem;border-bottom:1px solid var(--line);font-weight:400}\
th{color:var(--soft);font-size:.88rem}td:first-child,th:first-child{text-align:left}\
.settings td{text-align:left;overflow-wrap:anywhere}.settings td:first-child{color:var(--soft);white-space:nowrap;vertical-align:top}";
