//! The fuzzer. `cargo xtask fuzz` sets `FUZZ_TARGET` to the name of a target.
#![no_main]

use std::sync::OnceLock;

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    TARGET.get_or_init(chosen)(data);
});

#[expect(clippy::disallowed_methods, reason = "libFuzzer parses the command line")]
fn chosen() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.map_or_else(|| panic!("FUZZ_TARGET={name:?} is not a target"), |(_, target)| *target)
}
