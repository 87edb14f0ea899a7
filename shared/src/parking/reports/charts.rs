//! Column charts over days or months as PNG. Pure.

use std::sync::Once;

use plotters::{
    prelude::*,
    style::{
        FontStyle, register_font,
        text_anchor::{HPos, Pos, VPos},
    },
};

/// Width and height in pixels. Mails show charts at half this size, so that they look sharp on any screen.
pub const SIZE: (u32, u32) = (1016, 420);

/// The colours of `templates/emails/base.html`.
const STRONG: RGBColor = RGBColor(0x12, 0x57, 0xa8);
const PALE: RGBColor = RGBColor(0xa9, 0xc6, 0xe8);
const TEXT: RGBColor = RGBColor(0x3d, 0x4e, 0x60);
const GRID: RGBColor = RGBColor(0xdf, 0xe6, 0xed);

const LEFT: i32 = 96;
const RIGHT: i32 = 8;
const TOP: i32 = 22;
const BOTTOM: i32 = 56;
const FONT_SIZE: f64 = 33.0;
/// Grid lines above zero, at round values.
const LINES: i64 = 4;

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Shown below it; may be empty.
    pub label: String,
    /// Its height in hundredths.
    pub hundredths: i64,
    /// Drawn in the strong colour.
    pub strong: bool,
}

/// Draws the columns.
///
/// # Errors
/// If drawing or encoding fails, which no figures cause.
pub fn columns(columns: &[Column]) -> Result<Vec<u8>, String> {
    let (width, height) = SIZE;
    let mut pixels = vec![255; width as usize * height as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        draw(&area, columns).map_err(|error| format!("drawing a chart: {error:?}"))?;
    }
    encode(&pixels).map_err(|error| format!("encoding a chart: {error}"))
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

fn draw<'a>(area: &Area<'a>, columns: &[Column]) -> Drawn<'a> {
    register_fonts();
    let (width, height) = (SIZE.0.cast_signed(), SIZE.1.cast_signed());
    let (floor, room) = (height - BOTTOM, height - BOTTOM - TOP);
    let step = step(columns.iter().map(|column| column.hundredths).max().unwrap_or(0));
    let y = |hundredths: i64| floor - scaled(hundredths, step * LINES, room);
    let text = |horizontal, vertical| {
        let font = ("sans-serif", FONT_SIZE).into_font().color(&TEXT);
        font.pos(Pos::new(horizontal, vertical))
    };
    for line in 0..=LINES {
        let at = y(line * step);
        area.draw(&Rectangle::new([(LEFT, at), (width - RIGHT, at + 1)], GRID.filled()))?;
        // Digits have no descenders, so their middle is above the middle of the line.
        let label = Text::new(axis_label(line * step), (LEFT - 14, at + 6), text(HPos::Right, VPos::Center));
        area.draw(&label)?;
    }
    let count = i32::try_from(columns.len().max(1)).unwrap_or(1);
    for (i, column) in (0..).zip(columns) {
        let place = |part: i32| LEFT + (width - LEFT - RIGHT) * (4 * i + part) / (4 * count);
        let colour = if column.strong { STRONG } else { PALE };
        if column.hundredths > 0 {
            // Small values remain visible.
            let top = y(column.hundredths).min(floor - 3);
            let gap = (place(4) - place(0)) / 8;
            area.draw(&Rectangle::new([(place(0) + gap, top), (place(4) - gap, floor)], colour.filled()))?;
        }
        let label = Text::new(column.label.as_str(), (place(2), floor + 16), text(HPos::Center, VPos::Top));
        area.draw(&label)?;
    }
    area.present()
}

/// Scales `part` of `whole` to pixels of `room`.
fn scaled(part: i64, whole: i64, room: i32) -> i32 {
    let pixels = i128::from(part) * i128::from(room) / i128::from(whole.max(1));
    i32::try_from(pixels).unwrap_or(room).min(room)
}

/// The distance between grid lines: 1, 2, 2.5 or 5 times a power of ten; above 1, a whole number.
fn step(most: i64) -> i64 {
    let least = (most.max(0) / LINES).saturating_add(i64::from(most % LINES > 0)).max(25);
    let powers = (0..17).map(|n| 10_i64.pow(n));
    powers
        .flat_map(|power| [10, 20, 25, 50].map(|n| n * power))
        .find(|step| *step >= least && (*step >= 100 || *step == 25 || *step == 50))
        .unwrap_or(i64::MAX / LINES)
}

/// A label of the axis: `0.25`, `40`, `2.5k`.
fn axis_label(hundredths: i64) -> String {
    let (value, unit) = match hundredths {
        0..100_000 => (hundredths, ""),
        100_000..100_000_000 => (hundredths / 1_000, "k"),
        _ => (hundredths / 1_000_000, "M"),
    };
    let digits = format!("{}.{:02}", value / 100, value % 100);
    format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
}

/// Registers the font with plotters, once per process.
fn register_fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // If it cannot be parsed, drawing the first text fails.
        let _ = register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
    });
}

/// Unfiltered, because flat areas compress best that way.
fn encode(pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIZE.0, SIZE.1);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_filter(png::FilterType::NoFilter);
    encoder.set_compression(png::Compression::Default);
    encoder.write_header()?.write_image_data(pixels)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(values: &[i64]) -> Vec<Column> {
        let column = |(day, value): (usize, &i64)| Column {
            label: (day + 1).to_string(),
            hundredths: *value,
            strong: true,
        };
        values.iter().enumerate().map(column).collect()
    }

    /// Width, height and pixels.
    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut pixels).unwrap();
        (info.width, info.height, pixels)
    }

    fn count(file: &[u8], colour: RGBColor) -> usize {
        let (_, _, pixels) = decoded(file);
        pixels.chunks(3).filter(|pixel| *pixel == [colour.0, colour.1, colour.2]).count()
    }

    #[test]
    fn column_heights_are_proportional_to_values() {
        let one = columns(&days(&[0, 10_000, 0])).unwrap();
        let (width, height, pixels) = decoded(&one);
        assert_eq!((width, height), SIZE);
        assert_eq!(pixels.len(), 3 * 1016 * 420);
        let (full, half) =
            (count(&one, STRONG), count(&columns(&days(&[0, 5_000, 10_000])).unwrap(), STRONG));
        let share = half as f64 / full as f64;
        assert!((1.48..1.52).contains(&share), "one and a half columns: {share}");
        assert_eq!(count(&one, PALE), 0);
        assert!(one.len() < 20_000, "{} bytes", one.len());
    }

    #[test]
    fn equal_figures_produce_equal_bytes() {
        let figures = days(&[1, 200, 30_000, 4_000, 12]);
        assert_eq!(columns(&figures).unwrap(), columns(&figures).unwrap());
        assert_ne!(columns(&figures).unwrap(), columns(&days(&[1, 200, 30_000, 4_000, 13_000])).unwrap());
    }

    #[test]
    fn labels_are_drawn() {
        let mut figures = days(&[500, 700]);
        let with = columns(&figures).unwrap();
        figures.iter_mut().for_each(|column| column.label.clear());
        assert_ne!(with, columns(&figures).unwrap());
    }

    #[test]
    fn figures_of_any_size_are_drawn() {
        for figures in [vec![], vec![0; 31], vec![i64::MAX, 1], vec![1], vec![-5, 3], vec![i64::MIN]] {
            let file = columns(&days(&figures)).unwrap();
            assert_eq!(decoded(&file).2.len(), 3 * 1016 * 420, "{figures:?}");
        }
    }

    #[test]
    fn axis_values_are_round() {
        for (most, expected) in [
            (0, ["0", "0.25", "0.5", "0.75", "1"]),
            (100, ["0", "0.25", "0.5", "0.75", "1"]),
            (101, ["0", "0.5", "1", "1.5", "2"]),
            (700, ["0", "2", "4", "6", "8"]),
            (12_345, ["0", "50", "100", "150", "200"]),
            (400_000, ["0", "1k", "2k", "3k", "4k"]),
            (1_000_000_000, ["0", "2.5M", "5M", "7.5M", "10M"]),
        ] {
            let step = step(most);
            assert_eq!([0, 1, 2, 3, 4].map(|line| axis_label(line * step)), expected, "{most}");
        }
    }
}
