//! The numeric source and the generator.
use common::tolerance::{EXP_ULPS, F64, assert_close};
use micro_diffusion::math::{EXP_OVERFLOW, EXP_UNDERFLOW, Real, exp, power, round_to_i32};
use micro_diffusion::rng::{Purpose, Stream, below, symmetric, threefry2x32};

/// The error of [`exp`] at `x` in units in the last place of the exact value.
fn error_in_ulps(x: f32) -> f64 {
    let exact = f64::from(x).exp();
    let ulp = 2.0_f64.powi(exact.log2().floor() as i32 - 23);
    (f64::from(exp(x)) - exact).abs() / ulp
}

/// The largest error over every `stride`-th `f32` of the domain.
fn largest_error(stride: usize) -> f64 {
    let negative =
        (0.0_f32.to_bits()..=(-EXP_UNDERFLOW).to_bits()).step_by(stride).map(|bits| -f32::from_bits(bits));
    let positive = (0.0_f32.to_bits()..=EXP_OVERFLOW.to_bits()).step_by(stride).map(f32::from_bits);
    negative.chain(positive).map(error_in_ulps).fold(0.0, f64::max)
}

#[test]
fn exp_is_as_accurate_as_it_says() {
    let largest = largest_error(997);
    println!("largest error of exp: {largest:.4} units in the last place");
    assert!(largest < EXP_ULPS);
    assert!(largest > 0.5, "nothing is better than correctly rounded everywhere: the check is broken");
}

/// Two billion values; some minutes.
#[test]
#[ignore = "exhaustive; run by the slow script"]
fn exp_is_as_accurate_as_it_says_everywhere() {
    let largest = largest_error(1);
    println!("largest error of exp over every f32: {largest:.4} units in the last place");
    assert!(largest < EXP_ULPS);
}

#[test]
fn exp_at_its_edges() {
    assert_eq!(exp(0.0), 1.0);
    assert_eq!(exp(-0.0), 1.0);
    assert_eq!(exp(f32::NEG_INFINITY), 0.0);
    assert_eq!(exp(EXP_UNDERFLOW - 0.01), 0.0);
    assert!(exp(EXP_UNDERFLOW) > f32::MIN_POSITIVE);
    assert_eq!(exp(f32::INFINITY), f32::INFINITY);
    assert_eq!(exp(EXP_OVERFLOW + 0.01), f32::INFINITY);
    assert!(exp(EXP_OVERFLOW).is_finite());
    assert!(exp(f32::NAN).is_nan());
    assert!(exp(f32::MIN_POSITIVE) == 1.0 && exp(1e-40) == 1.0);
}

#[test]
fn rounding_saturates_and_goes_away_from_zero() {
    let cases =
        [(0.5, 1), (-0.5, -1), (2.4, 2), (-2.6, -3), (3e9, i32::MAX), (-3e9, i32::MIN), (f32::NAN, 0)];
    for (x, rounded) in cases {
        assert_eq!(round_to_i32(x), rounded, "{x}");
    }
    for (x, rounded) in
        [(0.499_999_97, 0), (-0.499_999_97, 0), (8_388_609.0, 8_388_609), (8_388_607.5, 8_388_608)]
    {
        assert_eq!(round_to_i32(x), rounded, "{x}");
    }
    for bits in (0..=u32::MAX).step_by(997).chain([0.5_f32, 1.5, 2.5, 4_194_304.5].map(f32::to_bits)) {
        let x = f32::from_bits(bits);
        assert_eq!(round_to_i32(x), f64::from(x).round() as i32, "{x}");
    }
}

#[test]
fn a_number_is_rounded_once() {
    for x in [0.1, -1.0 / 3.0, f64::from(f32::MAX), 16_777_216.5] {
        assert_eq!(f64::of(x), x, "double precision is itself");
        assert_eq!(f32::of(x), x as f32, "rounded once on the way down");
    }
}

#[test]
fn powers() {
    assert_eq!(power(0.9, 0), 1.0);
    assert_eq!(power(2.0, 30), 1_073_741_824.0);
    assert_close(power(0.999, 5000), 0.999_f64.powi(5000), F64, "power");
    assert_eq!(power(0.5, u32::MAX), 0.0);
}

/// The known answers of the authors' Random123 distribution.
#[test]
fn threefry_gives_the_published_answers() {
    let pi = [0x243f_6a88, 0x85a3_08d3];
    let cases = [
        ([0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]),
        ([u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]),
        ([0x1319_8a2e, 0x0370_7344], pi, [0xc492_3a9c, 0x483d_f7a0]),
    ];
    for (key, counter, block) in cases {
        assert_eq!(threefry2x32(key, counter), block);
    }
}

#[test]
fn integers_below_a_bound_stay_below_it() {
    for bound in [1, 2, 3, 27, 1 << 31, u32::MAX] {
        assert_eq!(below(0, bound), 0);
        assert_eq!(below(u32::MAX, bound), bound - 1);
    }
    assert_eq!(below(u32::MAX, 0), 0);
}

#[test]
fn symmetric_numbers_are_half_open() {
    assert_eq!(symmetric(0), -1.0);
    assert_eq!(symmetric(u32::MAX), 1.0 - 2.0_f32.powi(-23));
    assert_eq!(symmetric(1 << 31), 0.0);
}

#[test]
fn streams_differ_by_seed_purpose_and_name() {
    let mut seen = std::collections::HashSet::new();
    let purposes = [Purpose::Weights, Purpose::Order, Purpose::Noise, Purpose::Sample, Purpose::Score];
    for seed in [0, 1, 1 << 32, u64::MAX] {
        for purpose in purposes {
            let stream = Stream::new(seed, purpose);
            for name in [stream, stream.child(0, 0), stream.child(0, 1), stream.child(1, 0)] {
                assert!(seen.insert(name.draw(5, 7)), "{seed} {purpose:?}");
            }
        }
    }
}
