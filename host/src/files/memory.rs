//! Whether there is memory for a large piece of work, asked before it begins.

use std::fs;

use anyhow::bail;
use micro_diffusion::denoiser::Shape;

use crate::engine::network::Network;

/// Refuses a batch that does not fit the free memory. Teachers' answers take room too, where the run is `taught`.
pub(crate) fn refuse_too_large(network: &dyn Network, batch: u32, taught: bool) -> anyhow::Result<()> {
    let Shape { positions, symbols, .. } = network.shape();
    let answers = if taught { positions * symbols * size_of::<f32>() } else { 0 };
    let bytes = (network.record_bytes() + answers).saturating_mul(batch as usize);
    if !has(bytes) {
        bail!(
            "a batch of {batch} lines needs {gigabytes:.1} GB of memory, and less than that is free; give a \
             smaller --batch",
            gigabytes = bytes as f64 / 1e9
        );
    }
    Ok(())
}

/// Whether `bytes` are free.
fn has(bytes: usize) -> bool {
    available().is_none_or(|available| bytes <= available)
        && Vec::<u8>::new().try_reserve_exact(bytes).is_ok()
}

/// Bytes that are free without swapping, where the system tells. Linux also grants more than it has, and ends the program
/// when it uses them.
fn available() -> Option<usize> {
    let report = fs::read_to_string("/proc/meminfo").ok()?;
    let line = report.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}
