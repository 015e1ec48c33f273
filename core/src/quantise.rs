//! From trained floats to integers.
//!
//! A weight w becomes the integer nearest to w·2ᵉ, held within what its type stores: −8 … 7, −128 … 127, and for biases
//! what [`integer`](crate::integer) allows them in a sum. Its error is at most 2⁻ᵉ/2 inside that range, and grows beyond
//! it by what is cut off; the exponent is the one with the least sum of squared errors over the tensor.
//!
//! A hidden value is a sum divided by a power of two and rounded down; a bias stored half a step higher makes that
//! rounding to the nearest. What is added to a residual stream is in the unit of the stream.
//!
//! Only the exponent of the activations, which depends on the texts, is left to whoever has some.
//!
//! **Where training goes on with rounded weights**, what is cut off costs less than steps that are too coarse: the weights that
//! are left make up for the one and not for the other. Four bits that fit the trained floats best follow the few large ones,
//! more so the longer the floats have grown; so tables of products in four bits get steps no coarser than those of the
//! values that they multiply ([`trained_scales`]), which cuts up to three in ten of the perceptron's off at −1 and 7/8.
//!
//! Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
//! Inference", CVPR 2018.

use crate::dtype::Dtype;
use crate::integer::{SCORE, SUM_SHARE, Scales};
use crate::math::Real;
use crate::rounding::Grid;
use crate::steps::STREAM;
use crate::stored::{Nibble, Role, StoredTensor};

/// The numbers that `tensor` can hold with steps of 2^−`exponent`.
pub fn grid(tensor: &StoredTensor, exponent: u8) -> Grid {
    let below = match (tensor.dtype, tensor.role) {
        (Dtype::Int4, _) => 8,
        (Dtype::Int8, _) => 128,
        (_, Role::HiddenBias) => i32::from(SUM_SHARE).saturating_sub(1),
        _ => i32::from(i16::MAX),
    };
    let largest = if tensor.dtype == Dtype::Int16 { below } else { below.saturating_sub(1) };
    Grid { least: below.saturating_neg(), largest, exponent }
}

/// The exponent with which `tensor` holds `weights` at the least sum of squared errors.
pub fn best_exponent(tensor: &StoredTensor, weights: &[f32]) -> u8 {
    let error = |exponent: u8| {
        let squares = weights.iter().map(|weight| {
            let error = (*weight - grid(tensor, exponent).round(*weight)).to_f64();
            error * error
        });
        squares.sum::<f64>()
    };
    let best = (0..=SCORE).map(|exponent| (error(exponent), exponent)).reduce(|best, next| {
        // Of equals the coarser, whose sums are the smaller.
        if next.0 < best.0 { next } else { best }
    });
    best.map_or(0, |(_, exponent)| exponent)
}

/// The scales that fit `parameters`, trained, best, for the network of `tensors` with activations in units of
/// 2^−`activation`.
pub fn scales(tensors: &[StoredTensor], parameters: &[f32], activation: u8) -> Scales {
    scales_with(tensors, parameters, activation, |_| 0)
}

/// The same for `parameters` that are trained on at these scales, with products in four bits in steps of at most
/// 2^−`activation`.
pub fn trained_scales(tensors: &[StoredTensor], parameters: &[f32], activation: u8) -> Scales {
    scales_with(tensors, parameters, activation, |tensor| match tensor.dtype {
        Dtype::Int4 => activation,
        _ => 0,
    })
}

/// The scales that fit best among those where each table of products has at least the exponent `least`.
fn scales_with(
    tensors: &[StoredTensor],
    parameters: &[f32],
    activation: u8,
    least: impl Fn(&StoredTensor) -> u8,
) -> Scales {
    let mut scales = Scales { activation, tensors: [0; _] };
    let (mut rest, mut unit) = (parameters, 0_u8);
    for (exponent, tensor) in scales.tensors.iter_mut().zip(tensors) {
        let (weights, tail) = rest.split_at_checked(tensor.numbers()).unwrap_or((rest, &[]));
        rest = tail;
        *exponent = match tensor.role {
            // The unit of the sums that the bias is added to.
            Role::HiddenBias => unit,
            // Sums at least as fine as the values that they become.
            Role::Lookup => best_exponent(tensor, weights).max(activation),
            Role::Embedding => best_exponent(tensor, weights).min(STREAM),
            Role::StreamBias => STREAM,
            // What keeps the largest bias within its share of a score; one of zeros has no other preference.
            Role::ScoreBias => best_exponent(tensor, weights).max(1),
            Role::Product => best_exponent(tensor, weights).max(least(tensor)),
        };
        unit = if tensor.role == Role::Product { exponent.saturating_add(activation) } else { *exponent };
    }
    scales
}

/// Writes `parameters`, trained, as the tensors of an integer network one after the other.
///
/// `payload` is as long as the tensors take; what is beyond either end is left out.
pub fn quantise(tensors: &[StoredTensor], parameters: &[f32], scales: &Scales, payload: &mut [u8]) {
    let (mut rest, mut out) = (parameters, payload);
    for (tensor, exponent) in tensors.iter().zip(scales.tensors) {
        let Some((weights, tail)) = rest.split_at_checked(tensor.numbers()) else { return };
        let Some((bytes, free)) = out.split_at_mut_checked(tensor.bytes()) else { return };
        (rest, out) = (tail, free);
        match tensor.role {
            Role::Lookup | Role::Embedding | Role::Product => store_weights(tensor, weights, exponent, bytes),
            Role::HiddenBias => {
                // Half of the step 2^(exponent − activation), in which the sum becomes a value.
                let step = u32::from(exponent.saturating_sub(scales.activation));
                store_bias(tensor, weights, exponent, 1_i32.checked_shl(step).unwrap_or(0) >> 1, bytes);
            }
            Role::StreamBias | Role::ScoreBias => store_bias(tensor, weights, exponent, 0, bytes),
        }
    }
}

/// Int16 with sign, `half` higher.
fn store_bias(tensor: &StoredTensor, weights: &[f32], exponent: u8, half: i32, bytes: &mut [u8]) {
    let Grid { least, largest, .. } = grid(tensor, exponent);
    for (bytes, weight) in bytes.as_chunks_mut().0.iter_mut().zip(weights) {
        let integer = grid(tensor, exponent).integer(*weight).saturating_add(half).clamp(least, largest);
        *bytes = i16::try_from(integer).unwrap_or(0).to_le_bytes();
    }
}

/// Codes without sign, in rows of whole bytes.
fn store_weights(tensor: &StoredTensor, weights: &[f32], exponent: u8, bytes: &mut [u8]) {
    let (row, zero) = (tensor.row().max(1), tensor.dtype.zero());
    let rows = tensor.dimensions.iter().rev().nth(1).copied().unwrap_or(1);
    let code = |weight: f32| {
        let code = grid(tensor, exponent).integer(weight).saturating_add(i32::from(zero));
        u8::try_from(code).unwrap_or(zero)
    };
    let length = row.saturating_mul(rows);
    for number in 0..tensor.numbers().checked_div(row).unwrap_or(0) {
        // Where the last two dimensions change places, row r of a block is its column r as trained.
        let block = weights.chunks_exact(length).nth(number.checked_div(rows).unwrap_or(0));
        let place = number.checked_rem(rows).unwrap_or(0);
        let transposed = tensor.role == Role::Product;
        let (start, stride) = if transposed { (place, rows) } else { (place.saturating_mul(row), 1) };
        let mut codes = block.unwrap_or(&[]).iter().skip(start).step_by(stride).take(row).copied().map(code);
        let mut next = || codes.next().unwrap_or(zero);
        let (start, whole, nibble) = tensor.dtype.row(number, row);
        for byte in bytes.iter_mut().skip(start).take(whole) {
            *byte = if tensor.dtype == Dtype::Int4 { next() | next() << 4 } else { next() };
        }
        if let Some((Nibble { high, .. }, byte)) = nibble.and_then(|n| Some((n, bytes.get_mut(n.byte)?))) {
            *byte = if high { *byte & 15 | next() << 4 } else { *byte & 0xF0 | next() };
        }
    }
}
