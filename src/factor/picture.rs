//! QR codes as PNG, since native apps draw no SVG.
//!
//! A picture of a QR code needs one bit a pixel and no compression, so this is all of PNG (ISO/IEC 15948) that it takes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use qrcode::{Color, QrCode, types::QrError};

/// Width and height of the picture.
pub(super) const PIXELS: u32 = 256;

/// One row: one bit a pixel, after the number of its filter.
const ROW: usize = 32;

/// Modules around the code that stay light (ISO/IEC 18004).
const QUIET: usize = 4;

/// The QR code of the text, as a `data:` URL of a PNG.
pub(super) fn data_url(text: &str) -> Result<String, QrError> {
    let code = QrCode::new(text.as_bytes())?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png(&rows(&code)))))
}

/// The rows from top to bottom, each after its filter, which is none. A set bit is light.
fn rows(code: &QrCode) -> Vec<u8> {
    let side = ROW.saturating_mul(8);
    let width = code.width();
    let scale = side.checked_div(width.saturating_add(QUIET.saturating_mul(2))).unwrap_or(1).max(1);
    let margin = side.saturating_sub(width.saturating_mul(scale)) / 2;
    let colors = code.to_colors();
    // Where in the code a pixel is, if it is not beside it.
    let module = |pixel: usize| {
        pixel.checked_sub(margin).and_then(|inside| inside.checked_div(scale)).filter(|&module| module < width)
    };
    let is_dark = |x: usize, y: usize| {
        let place = module(y).zip(module(x)).map(|(row, column)| row.saturating_mul(width).saturating_add(column));
        place.and_then(|place| colors.get(place)) == Some(&Color::Dark)
    };
    let mut rows = Vec::with_capacity(side.saturating_mul(ROW.saturating_add(1)));
    for y in 0..side {
        rows.push(0);
        for start in (0..side).step_by(8) {
            rows.push((0..8).fold(0u8, |byte, bit| byte << 1 | u8::from(!is_dark(start.saturating_add(bit), y))));
        }
    }
    rows
}

fn png(rows: &[u8]) -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = PIXELS.to_be_bytes();
    // One bit a pixel, grey, nothing else.
    chunk(&mut picture, *b"IHDR", &[&side[..], &side[..], &[1, 0, 0, 0, 0]].concat());
    chunk(&mut picture, *b"IDAT", &stored(rows));
    chunk(&mut picture, *b"IEND", &[]);
    picture
}

fn chunk(picture: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    picture.extend(length.to_be_bytes());
    picture.extend(name);
    picture.extend(data);
    picture.extend(crc(name.iter().chain(data)).to_be_bytes());
}

/// The data as zlib without compression (RFC 1950, RFC 1951 section 3.2.4).
fn stored(data: &[u8]) -> Vec<u8> {
    const BLOCK: usize = 0x8000;
    let mut out = vec![0x78, 0x01];
    let mut blocks = data.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(u8::from(blocks.peek().is_none()));
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
    out.extend(adler(data).to_be_bytes());
    out
}

fn crc<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}

fn adler(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (low, high) = data.iter().fold((1u32, 0u32), |(low, high), byte| {
        let low = low.wrapping_add(u32::from(*byte)) % MODULUS;
        (low, high.wrapping_add(low) % MODULUS)
    });
    high << 16 | low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_their_standards() {
        assert_eq!(crc(b"123456789".iter()), 0xcbf4_3926);
        assert_eq!(crc(b"IEND".iter()), 0xae42_6082);
        assert_eq!(adler(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn the_picture_is_the_code_in_a_quiet_zone() {
        let code = QrCode::new("otpauth://totp/Bank:kim?secret=JBSWY3DPEHPK3PXP").unwrap();
        let rows = rows(&code);
        assert_eq!(rows.len(), 256 * 33);
        let dark = |x: usize, y: usize| rows[y * 33 + 1 + x / 8] >> (7 - x % 8) & 1 == 0;
        let scale = 256 / (code.width() + 8);
        let margin = (256 - code.width() * scale) / 2;
        assert!(margin >= QUIET * scale);
        let colors = code.to_colors();
        for y in 0..256 {
            for x in 0..256 {
                let inside = |at: usize| (margin..margin + code.width() * scale).contains(&at);
                let place = |at: usize| (at - margin) / scale;
                let expected = inside(x) && inside(y) && colors[place(y) * code.width() + place(x)] == Color::Dark;
                assert_eq!(dark(x, y), expected, "{x} {y}");
            }
        }
    }

    #[test]
    fn it_is_a_png_of_256_pixels() {
        let url = data_url("otpauth://totp/x").unwrap();
        let picture = STANDARD.decode(url.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert_eq!(&picture[..16], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
        assert_eq!(&picture[16..29], [0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
        assert_eq!(&picture[picture.len() - 12..], b"\0\0\0\0IEND\xae\x42\x60\x82");
    }
}
