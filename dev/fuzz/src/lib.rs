//! What strangers can send that we take apart ourselves, with what must hold for any bytes. `cargo xtask fuzz` runs these
//! under libFuzzer, `cargo test -p fuzz` over their seeds: what was found once stays there.

#![expect(clippy::expect_used, reason = "what does not hold is to be found")]

mod csv_cell;
mod cursor;
mod range;
mod settings;
mod times;

/// Panics when something does not hold.
pub type Target = fn(&[u8]);

/// Every target, by the name of its folder in `fuzz/seeds`.
pub const TARGETS: [(&str, Target); 5] = [
    ("csv_cell", csv_cell::run),
    ("cursor", cursor::run),
    ("range", range::run),
    ("settings", settings::run),
    ("times", times::run),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn targets_hold_for_seeds_and_their_parts() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
            let seeds: Vec<_> = std::fs::read_dir(&folder).expect("a folder of seeds").collect();
            assert!(!seeds.is_empty(), "{name} has no seeds");
            for seed in seeds {
                let bytes = std::fs::read(seed.expect("an entry").path()).expect("a seed");
                for cut in 0..=bytes.len() {
                    target(&bytes[..cut]);
                    target(&bytes[cut..]);
                }
            }
        }
    }
}
