//! Train and sample masked text diffusion models from the command line.

fn main() -> std::process::ExitCode {
    micro_diffusion_cli::run()
}
