//! Fuzz targets: parsers of untrusted input, with properties that hold for any bytes. `cargo xtask fuzz` runs them with
//! libFuzzer, `cargo test -p fuzz` on their seeds, to which every input that once failed belongs.

#![expect(clippy::expect_used, reason = "a panic is a finding")]

mod csv_cell;
mod cursor;
mod range;
mod settings;
mod times;

/// Panics if a property does not hold for these bytes.
pub type Target = fn(&[u8]);

/// All targets with their names, which are also those of their folders in `seeds`.
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
