//! Packs: which texts share one, and that a text sees itself only.

use common::{loss_and_gradient, shard};
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Example, Model, Shard};
use micro_diffusion::mlp::Mlp;
use micro_diffusion::pack::{boundary, packs, with_records, with_records_mut};
use micro_diffusion::rng::{Purpose, Stream};
use micro_diffusion::text::Text;
use micro_diffusion::transformer::Transformer;

/// Examples of texts of so many symbols, every other position masked and of its own weight.
fn batch<const L: usize>(lengths: &[usize]) -> Vec<Example<L>> {
    let example = |(row, length): (usize, &usize)| {
        let mut example = Example::<L>::EMPTY;
        let symbols: Vec<u8> = (0..*length).map(|l| ((row + l) % 5) as u8).collect();
        example.clean = Text::new(&symbols).unwrap();
        for (l, symbol) in symbols.into_iter().enumerate() {
            let masked = (row + l) % 2 == 0;
            example.noisy[l] = (!masked).then_some(symbol);
            example.weights[l] = if masked { 0.5 + (row + l) as f32 } else { 0.0 };
        }
        example
    };
    lengths.iter().enumerate().map(example).collect()
}

/// Number of texts in each pack of texts of `lengths`.
fn counts<const L: usize>(lengths: &[usize]) -> Vec<usize> {
    packs(shard::<f64, L>(&batch(lengths), 5)).map(|pack| pack.examples().len()).collect()
}

#[test]
fn a_pack_has_the_texts_that_follow_each_other_and_fit() {
    assert_eq!(counts::<16>(&[6, 6, 4, 1, 16, 9, 7, 8, 9]), [3, 1, 1, 2, 1, 1]);
    assert_eq!(counts::<16>(&[1; 40]), [16, 16, 8]);
    assert_eq!(counts::<5>(&[2, 2, 2, 5, 1]), [2, 1, 1, 1], "no more than there are positions");
    assert_eq!(
        counts::<32>(&[20, 8, 8, 32, 3]),
        [1, 2, 1, 1],
        "long texts are alone, short ones fill a register"
    );
    assert!(counts::<16>(&[]).is_empty());
    // A byte numbers the texts of a pack, and texts without symbols take no room.
    let empty = [Example::<16>::EMPTY; 300];
    assert_eq!(
        packs(shard::<f64, 16>(&empty, 5)).map(|pack| pack.examples().len()).collect::<Vec<_>>(),
        [255, 45]
    );
    assert!(packs(shard::<f64, 16>(&empty, 5)).all(|pack| pack.texts().is_empty()));
    // Whoever begins at a boundary finds the same packs behind it.
    let lengths = [6, 6, 4, 1, 16, 9, 7, 8, 9];
    let batch = batch::<16>(&lengths);
    let found: Vec<usize> = (0..=lengths.len()).map(|row| boundary(&batch, row)).collect();
    assert_eq!(found, [0, 3, 3, 3, 4, 5, 7, 7, 8, 9]);
    assert_eq!(Mlp::<16, 5, 3>::boundary(&batch, 5), 5, "a network that computes each example alone");
}

#[test]
fn columns_belong_to_texts() {
    let batch = batch::<16>(&[3, 1, 4]);
    let pack = packs(shard::<f64, 16>(&batch, 5)).next().unwrap();
    assert_eq!(pack.width(), 8);
    assert_eq!(pack.texts().as_slice(), [0, 0, 0, 1, 2, 2, 2, 2]);
    assert_eq!(pack.positions(true).as_slice(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(pack.positions(false).as_slice(), [0, 2, 4, 6]);
    let records: Vec<f64> = (0..9).map(f64::from).collect();
    let parts: Vec<&[f64]> = with_records(shard(&batch, 5), &records, 3).map(|(_, record)| record).collect();
    assert_eq!(parts, [&records[..]], "as many as its examples have");
}

/// In a pack a text has the loss to the bit that it has alone, and adds the same gradient.
fn check_alone<M: Model<16, 5>>() {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(3, Purpose::Weights));
    let parameters: Vec<f64> = parameters.into_iter().map(|x| 2.0 * f64::from(x)).collect();
    let batch = batch::<16>(&[5, 1, 8, 2, 16, 7, 9, 3, 3, 3, 3]);
    let (losses, gradient) = loss_and_gradient::<M, 16, 5>(&parameters, shard(&batch, 5));
    let mut sum = vec![0.0; M::PARAMETERS];
    for (example, loss) in batch.iter().zip(&losses) {
        let (alone, part) = loss_and_gradient::<M, 16, 5>(&parameters, shard(&[*example], 5));
        assert_eq!(alone[0].to_bits(), loss.to_bits(), "{} letters", example.length());
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let largest = gradient.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
    for (ours, sum) in gradient.iter().zip(&sum) {
        assert!((ours - sum).abs() <= 1e-12 * largest, "{ours} against {sum}");
    }
    // Another text beside it changes nothing of it.
    let mut other = batch.clone();
    other[1].noisy[0] = Some(4);
    other[1].weights[0] = 9.0;
    let (changed, _) = loss_and_gradient::<M, 16, 5>(&parameters, shard(&other, 5));
    assert_ne!(changed[1], losses[1]);
    for row in (0..batch.len()).filter(|row| *row != 1) {
        assert_eq!(changed[row].to_bits(), losses[row].to_bits(), "row {row}");
    }
}

#[test]
fn a_text_in_a_pack_is_a_text_alone() {
    check_alone::<Convolution<16, 5, 6, 2, 5>>();
    check_alone::<Transformer<16, 5, 8, 2, 2>>();
    check_alone::<Transformer<16, 5, 8, 2, 2, 3>>();
}

#[test]
fn records_and_losses_go_with_their_pack() {
    let batch = batch::<16>(&[9, 9, 2, 5]);
    let (mut records, mut losses) = ([0.0; 8], [0.0; 4]);
    for (number, (_, record, losses)) in
        with_records_mut(shard(&batch, 5), &mut records, 2, &mut losses).enumerate()
    {
        record.fill(number as f64);
        losses.fill(number as f64);
    }
    assert_eq!((records, losses), ([0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]));
}

#[test]
fn soft_answers_go_with_their_pack() {
    // The first text is a pack, the others another. A teacher is sure of a symbol at each position, which changes after
    // every two.
    let batch = batch::<16>(&[16, 2, 5]);
    let certain = |number: usize| (0..5).map(move |v| f64::from(u8::from(v == number / 2 % 5)));
    let soft: Vec<f64> = (0..3 * 16).flat_map(certain).collect();
    let clean = |row: usize| {
        let symbols: Vec<u8> = (0..batch[row].length()).map(|l| ((16 * row + l) / 2 % 5) as u8).collect();
        Example { clean: Text::new(&symbols).unwrap(), ..batch[row] }
    };
    let hard = [0, 1, 2].map(clean);
    let losses = |shard: Shard<f64, _, 16>| {
        packs(shard)
            .flat_map(|pack| {
                let mut z: Vec<f64> = (0..5 * pack.width()).map(|i| (i * i % 7) as f64).collect();
                let mut losses = vec![0.0; pack.examples().len()];
                pack.cross_entropy(&mut z, &mut losses);
                losses
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(losses(Shard { soft: &soft, ..shard(&batch, 5) }), losses(shard(&hard, 5)));
}
