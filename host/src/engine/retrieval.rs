//! Retrieval for whole models: packs training lines, and wraps the denoisers of a model.

use micro_diffusion::denoiser::Denoiser;
use micro_diffusion::retrieval::{EDGE, PADDING, Retrieving, Texts};
use micro_diffusion::text::Alphabet;
use serde::{Deserialize, Serialize};

use crate::engine::source::Source;

/// Whether a model looks training lines up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Retrieval {
    /// If some training lines then score better, which the end of a run decides.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Retrieval {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }
    }

    /// Whether it is the default.
    pub(crate) fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The symbols of `lines` between their marks, as [`Texts`] takes them. Lines with other characters than the alphabet's are
/// left out.
pub(crate) fn packed<'a>(lines: impl Iterator<Item = &'a String>, alphabet: Alphabet) -> Vec<u8> {
    let mut symbols = vec![EDGE; PADDING];
    for line in lines {
        let start = symbols.len();
        symbols.extend(line.chars().map_while(|character| alphabet.symbol(character)));
        if symbols.len() - start == line.chars().count() {
            symbols.push(EDGE);
        } else {
            symbols.truncate(start);
        }
    }
    symbols.extend([EDGE; PADDING]);
    symbols
}

/// The texts of `packed` lines.
pub(crate) fn texts(packed: &[u8]) -> Texts<'_> {
    Texts::new(packed).expect("packed lines have their marks")
}

/// A model whose predictions are mixed with counts of training lines.
pub(crate) struct Retrieved<'a, const L: usize, const V: usize> {
    pub(crate) source: Box<dyn Source<L, V> + 'a>,
    pub(crate) texts: Texts<'a>,
    /// Size of the alphabet.
    pub(crate) symbols: usize,
}

impl<const L: usize, const V: usize> Source<L, V> for Retrieved<'_, L, V> {
    fn memory_bytes(&self) -> usize {
        self.source.memory_bytes()
    }

    fn with_denoiser(&self, work: &mut dyn FnMut(&mut dyn Denoiser<L, V>)) {
        self.source.with_denoiser(&mut |denoiser| {
            work(&mut Retrieving::<_, L>::new(denoiser, self.texts, self.symbols));
        });
    }
}
