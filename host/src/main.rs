//! Train and sample masked text diffusion models from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    micro_diffusion_cli::main()
}
