//! How the built-in pages look.

mod page;

use std::fmt::Write;

pub(crate) use self::page::PageHook;
pub use self::page::{Page, PageError};
use crate::error::{BuildError, BuildErrorKind};

/// The looks of the built-in pages, for [`StepUpBuilder::theme`](crate::StepUpBuilder::theme).
///
/// ```
/// use tower_step_up::theme::{Theme, ThemeColor};
///
/// let theme = Theme::default()
///     .logo("/assets/logo.svg")
///     .color(ThemeColor::Brand, "#7a1f3d", "#f0a7bd")
///     .stylesheet("/assets/step-up.css");
/// # let builder = tower_step_up::StepUp::builder("https://bank.example").theme(theme);
/// # drop(builder);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Theme {
    pub(crate) logo: Option<String>,
    pub(crate) stylesheet: Option<String>,
    colors: Vec<(ThemeColor, String, String)>,
}

/// A colour of the built-in pages. Each is a custom property of CSS, which a [stylesheet](Theme::stylesheet) of your own can use too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThemeColor {
    /// `--ink`: text.
    Ink,
    /// `--soft`: text that matters less, and the borders of fields.
    Soft,
    /// `--line`: lines between parts.
    Line,
    /// `--paper`: behind text.
    Paper,
    /// `--ground`: around it.
    Ground,
    /// `--brand`: buttons and links.
    Brand,
    /// `--brand-ink`: text on buttons.
    BrandInk,
    /// `--focus`: around what has the focus.
    Focus,
    /// `--error`: text of errors.
    Error,
    /// `--error-ground`: behind it.
    ErrorGround,
    /// `--info-ground`: behind other messages.
    InfoGround,
    /// `--success`: text of what went well.
    Success,
    /// `--success-ground`: behind it.
    SuccessGround,
}

impl ThemeColor {
    /// The custom property.
    pub const fn property(self) -> &'static str {
        match self {
            Self::Ink => "--ink",
            Self::Soft => "--soft",
            Self::Line => "--line",
            Self::Paper => "--paper",
            Self::Ground => "--ground",
            Self::Brand => "--brand",
            Self::BrandInk => "--brand-ink",
            Self::Focus => "--focus",
            Self::Error => "--error",
            Self::ErrorGround => "--error-ground",
            Self::InfoGround => "--info-ground",
            Self::Success => "--success",
            Self::SuccessGround => "--success-ground",
        }
    }
}

impl Theme {
    /// A picture at the top of each page, beside the name of the application. A path is relative to the public URL. It is at most 2.5 times
    /// the height of a line.
    #[must_use]
    pub fn logo(self, url: impl Into<String>) -> Self {
        Self { logo: Some(url.into()), ..self }
    }

    /// A colour, in a light page and in a dark one: `#7a1f3d`, `rgb(122 31 61)`, `oklch(40% 0.12 5)`, or the name of a colour. Browsers choose
    /// between light and dark as their user likes it.
    ///
    /// Text needs a contrast of 4.5 to 1 to what is behind it, and what has the focus one of 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11). The colours that are
    /// there by default have that.
    #[must_use]
    pub fn color(mut self, which: ThemeColor, light: impl Into<String>, dark: impl Into<String>) -> Self {
        self.colors.push((which, light.into(), dark.into()));
        self
    }

    /// A stylesheet of your own, after the crate's. A path is relative to the public URL.
    #[must_use]
    pub fn stylesheet(self, url: impl Into<String>) -> Self {
        Self { stylesheet: Some(url.into()), ..self }
    }

    /// The rules that set the colours.
    pub(crate) fn css(&self) -> Result<String, BuildError> {
        let mut css = String::new();
        if let Some((which, ..)) = self.colors.iter().find(|(_, light, dark)| !is_color(light) || !is_color(dark)) {
            let help = format!(
                "Theme::color: the colours of {which:?} must be like #7a1f3d, rgb(122 31 61) or the name of a colour"
            );
            return Err(BuildError::new(BuildErrorKind::Theme, help));
        }
        let set = |css: &mut String, pick: fn(&(ThemeColor, String, String)) -> &String| {
            for color in &self.colors {
                // Writing into a string never fails.
                let _ = write!(css, "{}: {}; ", color.0.property(), pick(color));
            }
        };
        if !self.colors.is_empty() {
            css.push_str("\n:root { ");
            set(&mut css, |(_, light, _)| light);
            css.push_str("}\n@media (prefers-color-scheme: dark) { :root { ");
            set(&mut css, |(_, _, dark)| dark);
            css.push_str("} }\n");
        }
        Ok(css)
    }
}

/// Whether this can be a colour, and no more than a colour: nothing in it ends the declaration.
fn is_color(text: &str) -> bool {
    let allowed = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'#' | b'(' | b')' | b',' | b'.' | b'%' | b'/' | b' ' | b'-')
    };
    let opened = text.bytes().filter(|byte| *byte == b'(').count();
    let closed = text.bytes().filter(|byte| *byte == b')').count();
    let is_address = text.to_ascii_lowercase().contains("url(");
    !text.is_empty() && text.len() <= 64 && text.bytes().all(allowed) && opened == closed && !is_address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_set_for_light_and_dark() {
        let theme = Theme::default().color(ThemeColor::Brand, "#7a1f3d", "#f0a7bd").color(
            ThemeColor::BrandInk,
            "white",
            "rgb(0 0 0 / 90%)",
        );
        assert_eq!(
            theme.css().unwrap(),
            "\n:root { --brand: #7a1f3d; --brand-ink: white; }\n\
             @media (prefers-color-scheme: dark) { :root { --brand: #f0a7bd; --brand-ink: rgb(0 0 0 / 90%); } }\n"
        );
        assert_eq!(Theme::default().css().unwrap(), "");
    }

    #[test]
    fn what_is_no_colour_is_refused() {
        for bad in [
            "",
            "red; } body { display: none",
            "url(/x)",
            "URL(x)",
            "#fff}",
            "expression(1",
            "a\nb",
            "\"red\"",
            &"x".repeat(65),
        ] {
            for theme in [
                Theme::default().color(ThemeColor::Ink, bad, "#fff"),
                Theme::default().color(ThemeColor::Ink, "#fff", bad),
            ] {
                assert_eq!(theme.css().unwrap_err().kind(), BuildErrorKind::Theme, "{bad}");
            }
        }
    }
}
