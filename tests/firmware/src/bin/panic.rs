//! Ends in a panic.

#![cfg_attr(target_os = "none", no_std, no_main)]

firmware_checks::program!(run);

fn run() -> Option<()> {
    panic!("on purpose")
}
