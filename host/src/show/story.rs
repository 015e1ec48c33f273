//! The parts of the report that show learning: noise hides a line, a name comes out of noise, names grow better.

use maud::{Markup, PreEscaped, html};
use micro_diffusion::text::Alphabet;

use crate::engine::draw::{Choice, Drawn, Frame};
use crate::files::characters::runs_left;
use crate::files::novelty::{Known, Novelty};
use crate::show::columns::{alone, named};
use crate::show::curves::grouped;
use crate::show::marks;
use crate::show::picture::noisy;
use crate::show::svg::{clusters, revealed, shown};

/// Most steps of a name that are shown.
pub(crate) const STATES: usize = 13;
/// Most candidates of a letter that are shown.
const CANDIDATES: usize = 3;
/// Most previews that are shown.
const PREVIEWS: usize = 9;
/// Characters from which on a name gets a line of its own.
const LONG: usize = 18;

/// Chooses the name of `drawn` whose unmasking is shown: new before held-out before training lines, of about `length`
/// characters.
pub(crate) fn hero<'a>(
    drawn: impl Iterator<Item = &'a Drawn>,
    known: &Known,
    length: usize,
) -> Option<(&'a Drawn, Novelty)> {
    let rank = |(_, novelty): &(&Drawn, Novelty)| Novelty::ALL.iter().position(|kind| kind == novelty);
    let named = drawn.map(|drawn| (drawn, known.novelty(&drawn.text)));
    named.min_by_key(|named| (rank(named), named.0.text.chars().count().abs_diff(length)))
}

/// The median length of `lines`, in characters.
pub(crate) fn middling_length(lines: &[String]) -> usize {
    let mut lengths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
    lengths.sort_unstable();
    lengths.get(lengths.len() / 2).copied().unwrap_or(1)
}

/// Whether any of `texts` gets a line of its own.
pub(crate) fn are_long<'a>(mut texts: impl Iterator<Item = &'a str>) -> bool {
    texts.any(|text| text.chars().count() > LONG)
}

/// `letter` among words.
fn in_words(letter: char) -> String {
    if letter == ' ' { "space".to_owned() } else { named(letter) }
}

/// A row of letters and masks (`None`); the letter at `fresh` was just drawn.
fn tiles(letters: &[Option<char>], fresh: Option<usize>, left: bool) -> Markup {
    let aloud: Vec<String> =
        letters.iter().map(|letter| letter.map_or_else(|| "masked".to_owned(), in_words)).collect();
    html! {
        div.tiles dir=(if left { "rtl" } else { "ltr" }) role="img" aria-label=(aloud.join(" ")) {
            @for (position, letter) in letters.iter().enumerate() {
                @match letter {
                    None => i.masked {},
                    Some(letter) if fresh == Some(position) => i.fresh { (alone(*letter)) },
                    Some(letter) => i { (alone(*letter)) },
                }
            }
        }
    }
}

/// Shows the forward process on `line`.
pub(crate) fn forward(line: &str, seed: u64) -> Markup {
    let left = runs_left(line);
    html! {
        ol.strip {
            @for (percent, letters) in noisy(line, seed) {
                li { span.step { (percent) " %" } (tiles(&letters, None, left)) }
            }
        }
    }
}

/// Shows the reverse process of `drawn`, with the `choices` of each step.
pub(crate) fn reverse(alphabet: Alphabet, drawn: &Drawn, choices: &[Vec<Choice>]) -> Markup {
    let left = runs_left(&drawn.text);
    let letters = |frame: &Frame| -> Vec<Option<char>> {
        frame.symbols.iter().map(|symbol| symbol.and_then(|symbol| alphabet.character(symbol))).collect()
    };
    html! {
        ol.strip {
            @for step in shown(drawn.frames.len(), STATES) {
                @let choice = step.checked_sub(1).and_then(|step| choices.get(step)?.first());
                li {
                    span.step { @if step == 0 { "all masked" } @else { "step " (step) } }
                    (tiles(&letters(&drawn.frames[step]), choice.map(|choice| choice.position), left))
                    @if let Some(choice) = choice { (candidates(alphabet, choice)) }
                }
            }
        }
    }
}

/// Lists the candidates of a drawn letter: the likeliest, and the drawn one.
fn candidates(alphabet: Alphabet, choice: &Choice) -> Markup {
    let shown = choice
        .candidates
        .iter()
        .enumerate()
        .filter(|(rank, (symbol, share))| *symbol == choice.drawn || *rank < CANDIDATES && *share > 0.0);
    html! {
        ul.candidates {
            @for (_, (symbol, share)) in shown {
                li.drawn[*symbol == choice.drawn] {
                    bdi { (alphabet.character(*symbol).map_or_else(String::new, in_words)) }
                    span.bar style=(format!("--share:{share:.3}")) {}
                    (percent(*share))
                    @if *symbol == choice.drawn { span.aloud { " drawn" } }
                }
            }
        }
    }
}

/// A share in per cent.
pub(crate) fn percent(share: f64) -> String {
    if (0.0..0.005).contains(&share) { "< 1 %".to_owned() } else { format!("{:.0} %", 100.0 * share) }
}

/// The mark of a name that is not new, with words for screen readers.
fn mark(novelty: Novelty) -> Markup {
    html! {
        @if novelty != Novelty::New {
            span.sign aria-hidden="true" { "\u{A0}" (marks::mark(novelty).unwrap_or_default()) }
            span.aloud { " (" (novelty.name()) ")" }
        }
    }
}

/// Shows names of fixed numbers as the model drew them during training.
pub(crate) fn growth(previews: &[(u32, Vec<String>)], known: &Known) -> Markup {
    html! {
        ol.growth {
            @for index in shown(previews.len(), PREVIEWS) {
                @let (step, names) = &previews[index];
                li {
                    span.step { @match step { 0 => "before the first step", 1 => "after one step", step => { "after " (grouped(u64::from(*step))) " steps" } } }
                    ul { @for name in names { li { bdi { (name) } (mark(known.novelty(name))) } } }
                }
            }
        }
    }
}

/// Shows the model's names, which emerge if the reader asks.
pub(crate) fn names(drawn: &[Drawn], novelties: &[Novelty]) -> Markup {
    let steps = drawn.iter().map(|drawn| drawn.frames.len()).max().unwrap_or(1).max(2) - 1;
    let moments: String = (0..=steps).map(|step| moment(step, steps)).collect();
    html! {
        style { (PreEscaped(moments)) }
        label.play.quiet { input type="checkbox"; "show how they emerge" }
        ul.names {
            @for (drawn, novelty) in drawn.iter().zip(novelties) {
                li {
                    bdi {
                        @for (letter, last) in clusters(&drawn.text) {
                            span class="letter" style=(format!("animation-name:drawn{}", revealed(&drawn.frames, last))) { (letter) }
                        }
                    }
                    (mark(*novelty))
                }
            }
        }
    }
}

/// The keyframes of step `step` of `steps`: until then the letter is hidden, and a line under it is shown.
fn moment(step: usize, steps: usize) -> String {
    let at = 2.0 + 30.0 * step as f64 / steps as f64;
    let just = at - 0.1;
    format!(
        "@keyframes drawn{step}{{0%,{just:.1}%{{color:transparent;--masked:1}}{at:.1}%,100%{{color:var(--ink);--masked:0}}}}"
    )
}
