//! Invisible characters: those that direct a terminal, those that show nothing, and those that change how their
//! neighbours look.
//!
//! Byte order marks, zero-width characters, soft hyphens, marks and overrides of direction, fillers are dropped. Nobody
//! would see them as symbols, and they would make two lines of one. Characters that change how their neighbours look are
//! kept:
//!
//! - a zero-width joiner between two pictures of an emoji, and after a letter of a script whose letters join;
//! - a zero-width non-joiner between two letters of such a script, as in Persian;
//! - a variation selector after a picture, an ideograph or a letter of such a script, or in a keycap;
//! - the tags after a black flag, which spell the flag of a region.

use std::collections::BTreeMap;

/// Counts of dropped invisible characters, by character.
pub(crate) type Invisible = BTreeMap<char, usize>;

/// The name of a character that cannot be shown, such as “U+202E”.
pub(crate) fn code_point(character: char) -> String {
    format!("U+{:04X}", u32::from(character))
}

/// Whether `character` is a control character or a bidirectional override: it directs a terminal instead of being shown.
pub(crate) fn is_directive(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Stands for an open letter of a pattern where characters depend on their neighbours. Letters of this script join, and
/// have upper and lower case; no mark composes with them.
pub(crate) const ANY_LETTER: &str = "\u{1E922}";

const NON_JOINER: char = '\u{200C}';
const JOINER: char = '\u{200D}';

/// Whether `character` shows nothing, not even a gap: Unicode's default ignorable characters, and those that annotate.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF9}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

/// `text` without invisible characters, which are counted in `dropped`.
pub(crate) fn visible(text: &str, dropped: &mut Invisible) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut before, mut rest) = (None, text.chars());
    while let Some(character) = rest.next() {
        let after = || rest.clone().find(|next| !is_invisible(*next) || is_tag(*next));
        if is_invisible(character) && !before.is_some_and(|before| shapes(before, character, after())) {
            *dropped.entry(character).or_default() += 1;
        } else {
            kept.push(character);
            before = Some(character);
        }
    }
    kept
}

/// Whether the invisible `character` changes how `before` and `after` look.
fn shapes(before: char, character: char, after: Option<char>) -> bool {
    let after = |is: fn(char) -> bool| after.is_some_and(is);
    match character {
        JOINER => {
            let is_open = |next: char| ANY_LETTER.contains(next);
            joins(before)
                || (is_picture(before) || is_selector(before)) && (after(is_picture) || after(is_open))
        }
        NON_JOINER => joins(before) && after(joins),
        '\u{180B}'..='\u{180F}' => matches!(before, '\u{1820}'..='\u{18AA}'),
        _ if is_selector(character) => {
            let keycap = matches!(before, '0'..='9' | '#' | '*') && after(|next| next == '\u{20E3}');
            is_picture(before) || is_ideograph(before) || joins(before) || keycap
        }
        _ if is_tag(character) => before == '\u{1F3F4}' || is_tag(before),
        _ => false,
    }
}

/// Whether `character` selects a variant of the one before it.
fn is_selector(character: char) -> bool {
    matches!(character, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}')
}

/// Whether `character` spells the region of a flag.
fn is_tag(character: char) -> bool {
    matches!(character, '\u{E0020}'..='\u{E007F}')
}

/// Whether `character` is in the blocks of emoji pictures, skin tones among them.
fn is_picture(character: char) -> bool {
    matches!(
        character,
        '©' | '®' | '‼' | '⁉' | '™' | 'ℹ' | '\u{2190}'..='\u{21FF}' | '\u{2300}'..='\u{23FF}' | 'Ⓜ'
            | '\u{25A0}'..='\u{27BF}' | '\u{2900}'..='\u{297F}' | '\u{2B00}'..='\u{2BFF}' | '〰' | '〽' | '㊗' | '㊙'
            | '\u{1F000}'..='\u{1FAFF}'
    )
}

/// Whether `character` is a Chinese ideograph.
fn is_ideograph(character: char) -> bool {
    matches!(
        character,
        '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFD}'
    )
}

/// Whether `text` is read from right to left: its first letter with a direction is Hebrew, Arabic or of a script like
/// them.
pub(crate) fn runs_left(text: &str) -> bool {
    let left = |character: char| {
        matches!(character, '\u{590}'..='\u{8FF}' | '\u{FB1D}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}'
            | '\u{10800}'..='\u{10FFF}' | '\u{1E800}'..='\u{1EFFF}')
    };
    text.chars().find(|character| character.is_alphabetic()).is_some_and(left)
}

/// Whether `character` is of a script whose letters join or stack, so that joiners decide how they look: Arabic, Syriac,
/// Mandaic, N'Ko, the scripts of India and South-East Asia, Mongolian, Phags-pa, Adlam.
pub(crate) fn joins(character: char) -> bool {
    matches!(
        character,
        '\u{600}'..='\u{7BF}' | '\u{7C0}'..='\u{7FF}' | '\u{840}'..='\u{85F}' | '\u{860}'..='\u{DFF}'
            | '\u{1000}'..='\u{109F}' | '\u{1700}'..='\u{17FF}' | '\u{1800}'..='\u{18AF}' | '\u{1900}'..='\u{1AAF}'
            | '\u{1B00}'..='\u{1C4F}' | '\u{A800}'..='\u{A8FF}' | '\u{A930}'..='\u{AADF}' | '\u{ABC0}'..='\u{ABFF}'
            | '\u{FB50}'..='\u{FDFF}' | '\u{FE70}'..='\u{FEFC}' | '\u{10A00}'..='\u{10A5F}' | '\u{11000}'..='\u{11FFF}'
            | '\u{1E900}'..='\u{1E95F}'
    ) && !is_invisible(character)
}
