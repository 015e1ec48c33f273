//! Packs: which texts share one, and that a text sees itself only.
use micro_diffusion::activation::Activation;
use micro_diffusion::convolution::Convolution;
use micro_diffusion::denoiser::{Answers, Example, Model};
use micro_diffusion::kernels::Plain;
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
    packs(&batch::<L>(lengths)).map(|pack| pack.examples().len()).collect()
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
    assert_eq!(packs(&empty).map(|pack| pack.examples().len()).collect::<Vec<_>>(), [255, 45]);
    assert!(packs(&empty).all(|pack| pack.texts().is_empty()));
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
    let pack = packs(&batch).next().unwrap();
    assert_eq!(pack.width(), 8);
    assert_eq!(pack.texts().as_slice(), [0, 0, 0, 1, 2, 2, 2, 2]);
    assert_eq!(pack.positions(true).as_slice(), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(pack.positions(false).as_slice(), [0, 2, 4, 6]);
    let records: Vec<usize> = (0..9).collect();
    let parts: Vec<&[usize]> = with_records(&batch, &records, 3).map(|(_, record)| record).collect();
    assert_eq!(parts, [&records[..]], "as many as its examples have");
}

/// Losses and gradient of `shard`.
fn trained<M: Model<L, V>, const L: usize, const V: usize>(
    parameters: &[f64],
    shard: &[Example<L>],
) -> (Vec<f64>, Vec<f64>) {
    let (mut losses, mut records) = (vec![f64::NAN; shard.len()], vec![f64::NAN; shard.len() * M::RECORD]);
    let view = M::view(parameters).unwrap();
    M::forward_backward(Plain, Activation::Relu, view, shard, Answers::hard(V), &mut records, &mut losses);
    let (mut gradient, mut rest) = (vec![0.0; M::PARAMETERS], 0);
    for (number, tensor) in M::TENSORS.iter().enumerate() {
        for part in 0..tensor.parts {
            M::gradient(Plain, number, part, shard, &records, &mut gradient[rest..][..tensor.part_len()]);
            rest += tensor.part_len();
        }
    }
    (losses, gradient)
}

/// In a pack a text has the loss to the bit that it has alone, and adds the same gradient.
fn check_alone<M: Model<16, 5>>() {
    let mut parameters = vec![0.0; M::PARAMETERS];
    M::initialise(&mut parameters, Stream::new(3, Purpose::Weights));
    let parameters: Vec<f64> = parameters.into_iter().map(|x| 2.0 * f64::from(x)).collect();
    let batch = batch::<16>(&[5, 1, 8, 2, 16, 7, 9, 3, 3, 3, 3]);
    let (losses, gradient) = trained::<M, 16, 5>(&parameters, &batch);
    let mut sum = vec![0.0; M::PARAMETERS];
    for (example, loss) in batch.iter().zip(&losses) {
        let (alone, part) = trained::<M, 16, 5>(&parameters, std::slice::from_ref(example));
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
    let (changed, _) = trained::<M, 16, 5>(&parameters, &other);
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
    let (mut records, mut losses) = ([0; 8], [0; 4]);
    let hard = Answers::hard(5);
    for (number, (_, answers, record, losses)) in
        with_records_mut(&batch, hard, &mut records, 2, &mut losses).enumerate()
    {
        assert!(answers.soft.is_empty());
        record.fill(number);
        losses.fill(number);
    }
    assert_eq!((records, losses), ([0, 0, 1, 1, 1, 1, 1, 1], [0, 1, 1, 1]));

    // Three numbers of soft answers for each example.
    let soft: Vec<f32> = (0_u8..12).map(f32::from).collect();
    let soft = Answers { soft: &soft, ..hard };
    let of_packs = with_records_mut(&batch, soft, &mut records, 2, &mut losses);
    let of_packs: Vec<&[f32]> = of_packs.map(|(_, answers, ..)| answers.soft).collect();
    assert_eq!(of_packs, [&soft.soft[..3], &soft.soft[3..]]);
}
