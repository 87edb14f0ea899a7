//! QR codes as SVG, for pages without pictures from elsewhere. Pure.

use std::fmt::Write;

use anyhow::anyhow;
use minijinja::{Value, context};
use qrcodegen::{QrCode, QrCodeEcc};
use shared::Result;

/// The light border that scanners need, in modules.
const BORDER: i32 = 4;

/// What a template draws: the view box, and the path of the dark modules.
pub(super) fn drawn(text: &str) -> Result<Value> {
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).map_err(|error| anyhow!("a QR code: {error}"))?;
    let side = code.size() + 2 * BORDER;
    Ok(
        context! { view => format!("-{BORDER} -{BORDER} {side} {side}"), border => -BORDER, side, path => path(&code) },
    )
}

/// A bar for each run of dark modules in a row.
fn path(code: &QrCode) -> String {
    let mut path = String::new();
    for y in 0..code.size() {
        let mut x = 0;
        while x < code.size() {
            let length = (x..code.size()).take_while(|x| code.get_module(*x, y)).count();
            if length > 0 {
                // Writing to a string cannot fail.
                let _ = write!(path, "M{x} {y}h{length}v1h-{length}z");
            }
            x += i32::try_from(length).unwrap_or_default() + 1;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_covers_the_dark_modules_and_no_others() {
        let code =
            QrCode::encode_text("otpauth://totp/Parkade:x?secret=GEZDGNBV", QrCodeEcc::Medium).unwrap();
        let mut dark = Vec::new();
        for bar in path(&code).split('M').skip(1) {
            let (at, rest) = bar.split_once('h').unwrap();
            let (x, y) = at.split_once(' ').unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            let length: i32 = rest.split('v').next().unwrap().parse().unwrap();
            dark.extend((x..x + length).map(|x| (y, x)));
        }
        let size = 0..code.size();
        let expected = size.clone().flat_map(|y| size.clone().map(move |x| (y, x)));
        assert_eq!(dark, expected.filter(|(y, x)| code.get_module(*x, *y)).collect::<Vec<_>>());
        assert!(dark.len() > 200);
    }
}
