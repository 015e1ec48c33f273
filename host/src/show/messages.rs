//! What several verbs say on stderr: which model and text they took, and what integers lose.

use crate::engine::description::dtype_name;
use crate::engine::quantise::{SEED, difference};
use crate::engine::score::Score;
use crate::files::corpus::Corpus;
use crate::files::model::{Model, ModelBytes, Scored};
use crate::show::terminal::{say, shown};
use crate::show::waiting::Waiting;

/// Random orders of each line by which integers are compared with floats.
const ORDERS: u32 = 4;

/// Says which model it is, where the user named none.
pub(crate) fn announce(model: &ModelBytes) {
    if let Some(why) = &model.chosen {
        say(&format!("model       {} ({why})", model.source));
    }
}

/// Says which text scores the model, where its run chose; returns the text.
pub(crate) fn announce_text(scored: Scored) -> Corpus {
    let Scored { corpus, own_text, own_split } = scored;
    if own_text || own_split {
        let split = if own_split { ", the development split" } else { "" };
        say(&format!("scored on   {}{split}, as its run was", shown(&corpus.source)));
    }
    corpus
}

/// Says what `quantised`, made of `floats`, takes and what it lost, over `held_out`.
pub(crate) fn report_integers(floats: &Model, quantised: &Model, held_out: &[String]) -> anyhow::Result<()> {
    say(&format!(
        "{:<11} {} bytes of weights, and {} of memory to work in",
        dtype_name(quantised.file.dtype()),
        quantised.file.parameter_bytes(),
        quantised.network.memory_bytes()
    ));
    if held_out.is_empty() {
        say("no held-out lines to score what that costs");
        return Ok(());
    }
    let [mean, most] = difference(&*floats.network, &*quantised.network, held_out)?;
    say(&format!(
        "logits      differ from the floats' by {mean:.3} nats in the mean (root mean square), by {most:.3} at most"
    ));
    let nelbo = |model: &Model| {
        let waiting = Waiting::new("scoring", held_out.len());
        let scores = model.network.score(held_out, (ORDERS, SEED), &|count| waiting.note(count))?;
        anyhow::Ok(Score::of(&scores).nelbo.nats)
    };
    let (before, after) = (nelbo(floats)?, nelbo(quantised)?);
    say(&format!(
        "NELBO       {before:.3} → {after:.3} nats a name: {:+.3} ({} held-out lines, {ORDERS} random orders of each)",
        after - before,
        held_out.len()
    ));
    Ok(())
}
