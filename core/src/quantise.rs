//! Quantisation: trained floats to integers.
//!
//! A weight w becomes the integer nearest to w·2ᵉ, clamped to the range of its dtype: −8 … 7, −128 … 127, and for biases the
//! share of a sum that [`integer`](crate::integer) allows. Its error is at most 2⁻ᵉ/2 inside the range, and grows by the
//! excess outside. The exponent of a tensor minimises the sum of squared errors.
//!
//! A hidden value is a sum divided by a power of two and rounded down. A bias stored half a step higher turns this into
//! rounding to nearest. Biases of a residual stream are in the stream's unit. The exponent of the activations depends on the
//! texts, so the caller chooses it.
//!
//! **Training with rounded weights.** Coarse steps then cost more than a clamped range, since the other weights can make up
//! for clamped ones. In four bits the best fit to trained floats follows the few large weights, and more so after longer
//! training. So [`trained_scales`] gives tables of products in four bits steps no coarser than those of the values they
//! multiply. Up to three in ten of the perceptron's weights are then clamped, to −1 or 7/8.
//!
//! Source: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
//! CVPR 2018.

use crate::dtype::Dtype;
use crate::integer::{SCORE, SUM_SHARE, Scales};
use crate::rounding::Grid;
use crate::stored::{Nibble, Role, StoredTensor};
use crate::stream::STREAM;

/// The values that `tensor`, of integers, can store if an integer i stands for i·2^−`exponent`. `exponent` is at most
/// 16.
///
/// The integers are −8 … 7 in 4 bits and −128 … 127 in 8 bits. In 16 bits, for biases, they are at most 2¹⁵ − 1 in
/// magnitude, or 2¹⁴ − 1 in hidden layers ([`Role::HiddenBias`]), which leaves half of a 16-bit sum to the weights.
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

/// The exponent e = 0 … 16 at which storing `weights` in `tensor`, in units of 2⁻ᵉ, has the least sum of squared
/// rounding errors.
///
/// A weight outside the tensor's range is clamped, and this error counts. The smaller of two equally good exponents is
/// taken, and 0 if a weight is NaN or infinite.
pub fn best_exponent(tensor: &StoredTensor, weights: &[f32]) -> u8 {
    let error = |exponent: u8| {
        let squares = weights.iter().map(|weight| {
            let error = f64::from(*weight - grid(tensor, exponent).round(*weight));
            error * error
        });
        squares.sum::<f64>()
    };
    let best = (0..=SCORE).map(|exponent| (error(exponent), exponent)).reduce(|best, next| {
        // The coarser of equals wins: its sums are smaller.
        if next.0 < best.0 { next } else { best }
    });
    best.map_or(0, |(_, exponent)| exponent)
}

/// Chooses an exponent e for each of `tensors`, to store the trained `parameters` as integers i, where i stands for
/// i·2⁻ᵉ.
///
/// `activation` is the exponent of hidden values, 0 … 16, chosen by the caller. The [`Role`] of a tensor decides its
/// exponent:
/// - Weights: the e in 0 … 16 of the least sum of squared errors, by [`best_exponent`]; clamped weights count with
///   their error. Rows that symbols add to a hidden layer (`Lookup`) take at least `activation`, so that sums are as
///   fine as hidden values. Rows with which a residual stream begins (`Embedding`) take at most 10, the stream's
///   exponent. Matrices (`Product`) have no such limit.
/// - Bias of the scores (`ScoreBias`): the best e too, but at least 1.
/// - Bias of a residual stream (`StreamBias`): 10.
/// - Bias of a hidden layer (`HiddenBias`): the exponent of the layer's sums. The tensor before the bias in `tensors`
///   gives it: its exponent, plus `activation` if it is a matrix. The sum can be above 16, which [`Scales::checked`]
///   refuses; then take a smaller `activation`.
///
/// `parameters` has the numbers of the tensors one after the other.
pub fn scales(tensors: &[StoredTensor], parameters: &[f32], activation: u8) -> Scales {
    scales_with(tensors, parameters, activation, 0)
}

/// Chooses an exponent for each of `tensors`, for training that goes on from `parameters` with weights rounded to these
/// scales.
///
/// The choice is that of [`scales`], the least sum of squared rounding errors, with one exception. A 4-bit matrix that
/// multiplies hidden values ([`Role::Product`]) has at least the exponent `activation`, that of hidden values: training
/// makes up for clamped weights, but not for coarse steps. `parameters` has the numbers of the tensors one after the
/// other.
pub fn trained_scales(tensors: &[StoredTensor], parameters: &[f32], activation: u8) -> Scales {
    scales_with(tensors, parameters, activation, activation)
}

/// The best scales for which tables of products in four bits have at least the exponent `least`.
fn scales_with(tensors: &[StoredTensor], parameters: &[f32], activation: u8, least: u8) -> Scales {
    let mut scales = Scales { activation, tensors: [0; _] };
    let (mut rest, mut unit) = (parameters, 0_u8);
    for (exponent, tensor) in scales.tensors.iter_mut().zip(tensors) {
        let (weights, tail) = rest.split_at_checked(tensor.numbers()).unwrap_or((rest, &[]));
        rest = tail;
        *exponent = match tensor.role {
            // The bias has the unit of the sums that it is added to.
            Role::HiddenBias => unit,
            // Sums are at least as fine as hidden values.
            Role::Lookup => best_exponent(tensor, weights).max(activation),
            Role::Embedding => best_exponent(tensor, weights).min(STREAM),
            Role::StreamBias => STREAM,
            // An exponent of 1 keeps the largest bias within its share of a score; biases of 0 would choose 0.
            Role::ScoreBias => best_exponent(tensor, weights).max(1),
            Role::Product if tensor.dtype == Dtype::Int4 => best_exponent(tensor, weights).max(least),
            Role::Product => best_exponent(tensor, weights),
        };
        unit = if tensor.role == Role::Product { exponent.saturating_add(activation) } else { *exponent };
    }
    scales
}

/// Rounds trained `parameters` to integers, and writes them to `payload`, the bytes of the `tensors` one after the
/// other.
///
/// `scales`, chosen by [`scales`] or [`trained_scales`], has an exponent e for each tensor. A weight becomes the
/// integer nearest to weight·2ᵉ, clamped to its tensor's range. A hidden bias ([`Role::HiddenBias`]) gets ⌊2^(e − a −
/// 1)⌋ more, with a the exponent [`Scales::activation`]: half a step of hidden values, so that rounding these down
/// rounds to nearest.
///
/// `parameters` has the numbers of the tensors one after the other. A tensor for which either slice is too short is not
/// written, nor any after it.
pub fn quantise(tensors: &[StoredTensor], parameters: &[f32], scales: &Scales, payload: &mut [u8]) {
    let (mut rest, mut out) = (parameters, payload);
    for (tensor, exponent) in tensors.iter().zip(scales.tensors) {
        let Some((weights, tail)) = rest.split_at_checked(tensor.numbers()) else { return };
        let Some((bytes, free)) = out.split_at_mut_checked(tensor.bytes()) else { return };
        (rest, out) = (tail, free);
        match tensor.role {
            Role::Lookup | Role::Embedding | Role::Product => store_weights(tensor, weights, exponent, bytes),
            Role::HiddenBias => {
                // Half of a step 2^(exponent − activation), the step of a hidden value in units of the bias.
                let step = u32::from(exponent.saturating_sub(scales.activation));
                store_bias(tensor, weights, exponent, 1_i32.checked_shl(step).unwrap_or(0) >> 1, bytes);
            }
            Role::StreamBias | Role::ScoreBias => store_bias(tensor, weights, exponent, 0, bytes),
        }
    }
}

/// Stores signed 16-bit integers, each `half` higher.
fn store_bias(tensor: &StoredTensor, weights: &[f32], exponent: u8, half: i32, bytes: &mut [u8]) {
    let Grid { least, largest, .. } = grid(tensor, exponent);
    for (bytes, weight) in bytes.as_chunks_mut().0.iter_mut().zip(weights) {
        let integer = grid(tensor, exponent).integer(*weight).saturating_add(half).clamp(least, largest);
        *bytes = i16::try_from(integer).unwrap_or(0).to_le_bytes();
    }
}

/// Stores unsigned codes, row by row.
fn store_weights(tensor: &StoredTensor, weights: &[f32], exponent: u8, bytes: &mut [u8]) {
    let (row, zero) = (tensor.row().max(1), tensor.dtype.zero());
    let rows = tensor.dimensions.iter().rev().nth(1).copied().unwrap_or(1);
    let code = |weight: f32| {
        let code = grid(tensor, exponent).integer(weight).saturating_add(i32::from(zero));
        u8::try_from(code).unwrap_or(zero)
    };
    let length = row.saturating_mul(rows);
    for number in 0..tensor.numbers().checked_div(row).unwrap_or(0) {
        // Row r of a block with swapped dimensions is column r of the trained block.
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
