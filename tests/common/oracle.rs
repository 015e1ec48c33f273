//! The vectors of `tests/oracle/generate.py`.

use std::collections::HashMap;

use micro_diffusion::crc::crc32;
use micro_diffusion::denoiser::{Example, Model};
use micro_diffusion::text::Text;

const VECTORS: &str = include_str!("../oracle/vectors.txt");
const SCRIPT: &[u8] = include_bytes!("../oracle/generate.py");

/// All vectors by name.
pub struct Oracle(HashMap<&'static str, Vec<f64>>);

impl Oracle {
    /// Reads the vectors; panics where the script that made them has changed since.
    pub fn load() -> Self {
        let mut lines = VECTORS.lines();
        let stamp = lines.next().unwrap().strip_prefix("crc32 ").unwrap();
        assert_eq!(
            stamp,
            format!("{:08x}", crc32(SCRIPT)),
            "tests/oracle/vectors.txt is stale; renew it with: python3 tests/oracle/generate.py"
        );
        Self(lines.map(parse).collect())
    }

    /// The vector `name`.
    pub fn get(&self, name: &str) -> &[f64] {
        self.0.get(name).unwrap_or_else(|| panic!("no vector {name}"))
    }

    /// The vector `name` as an array.
    pub fn array<const N: usize>(&self, name: &str) -> [f64; N] {
        self.get(name).try_into().unwrap()
    }

    /// The parameters of model `M` in flat order, each tensor under `prefix` and its name.
    pub fn parameters<M: Model<L, V>, const L: usize, const V: usize>(&self, prefix: &str) -> Vec<f64> {
        M::TENSORS.iter().flat_map(|tensor| self.get(&format!("{prefix}{}", tensor.name)).to_vec()).collect()
    }

    /// The batch of `case`.
    pub fn batch<const L: usize>(&self, case: &str) -> Vec<Example<L>> {
        let field = |name: &str| self.get(&format!("{case}/{name}")).as_chunks::<L>().0;
        let rows = field("clean").iter().zip(field("masked")).zip(field("weights"));
        let lengths = self.get(&format!("{case}/lengths"));
        rows.zip(lengths)
            .map(|(((clean, masked), weights), length)| {
                let clean = clean.map(|symbol| symbol as u8);
                // Past the text's end too, where nothing may read it.
                let noisy = std::array::from_fn(|l| (masked[l] == 0.0).then_some(clean[l]));
                Example {
                    clean: Text::new(&clean[..*length as usize]).unwrap(),
                    noisy,
                    weights: weights.map(|weight| weight as f32),
                    dropout: None,
                }
            })
            .collect()
    }
}

fn parse(line: &'static str) -> (&'static str, Vec<f64>) {
    let (head, values) = line.split_once(" : ").unwrap();
    let (name, dimensions) = head.split_once(' ').unwrap();
    let values: Vec<f64> = values.split_whitespace().map(|value| value.parse().unwrap()).collect();
    let length: usize = dimensions.split('x').map(|dimension| dimension.parse::<usize>().unwrap()).product();
    assert_eq!(values.len(), length, "{name}");
    (name, values)
}
