//! Writes texts into cells, and never beyond them.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::panel::look::{ascii, fit, width};
use crate::panel::theme::Theme;

pub struct Pen<'a> {
    buffer: &'a mut Buffer,
    pub theme: Theme,
}

impl<'a> Pen<'a> {
    pub fn new(buffer: &'a mut Buffer, theme: Theme) -> Self {
        Self { buffer, theme }
    }

    pub fn width(&self) -> usize {
        self.buffer.area.width.into()
    }

    /// At most so many cells; what does not fit is cut off with a dot. Where it ends.
    pub fn text(&mut self, x: usize, y: usize, most: usize, text: &str, style: Style) -> usize {
        let most = most.min(self.width().saturating_sub(x));
        let (Ok(column), Ok(line)) = (u16::try_from(x), u16::try_from(y)) else {
            return x;
        };
        if line >= self.buffer.area.height || most == 0 {
            return x;
        }
        let text = if self.theme.ascii {
            ascii(text)
        } else {
            text.to_owned()
        };
        let text = fit(&text, most);
        self.buffer.set_stringn(column, line, &text, most, style);
        x + width(&text)
    }

    /// Ends at `end`; where it begins.
    pub fn right(&mut self, end: usize, y: usize, most: usize, text: &str, style: Style) -> usize {
        let text = fit(text, most.min(end));
        let x = end - width(&text);
        self.text(x, y, most, &text, style);
        x
    }

    /// Parts one after the other, as far as they fit.
    pub fn parts<T: AsRef<str>>(
        &mut self,
        x: usize,
        y: usize,
        most: usize,
        parts: &[(T, Style)],
    ) -> usize {
        let end = x + most;
        parts.iter().fold(x, |x, (text, style)| {
            self.text(x, y, end.saturating_sub(x), text.as_ref(), *style)
        })
    }

    pub fn style(&mut self, area: Rect, style: Style) {
        self.buffer
            .set_style(area.intersection(self.buffer.area), style);
    }

    /// A line from side to side.
    pub fn rule(&mut self, y: usize) {
        let rule = self.theme.pick("─", "-").repeat(self.width());
        let style = self.theme.quiet();
        self.text(0, y, self.width(), &rule, style);
    }

    /// An empty box with a title; what is inside of it.
    pub fn window(&mut self, area: Rect, title: &str) -> Rect {
        let area = area.intersection(self.buffer.area);
        for y in area.y..area.bottom() {
            for x in area.x..area.right() {
                if let Some(cell) = self.buffer.cell_mut((x, y)) {
                    cell.reset();
                }
            }
        }
        let ([left_top, right_top, left_bottom, right_bottom], across, down) = if self.theme.ascii {
            (["+"; 4], "-", "|")
        } else {
            (["╭", "╮", "╰", "╯"], "─", "│")
        };
        let style = self.theme.quiet();
        let (x, y) = (usize::from(area.x), usize::from(area.y));
        let (width, height) = (usize::from(area.width), usize::from(area.height));
        let line = |left: &str, right: &str| {
            format!("{left}{}{right}", across.repeat(width.saturating_sub(2)))
        };
        self.text(x, y, width, &line(left_top, right_top), style);
        for line in 1..height.saturating_sub(1) {
            self.text(x, y + line, 1, down, style);
            self.text(x + width - 1, y + line, 1, down, style);
        }
        self.text(
            x,
            y + height - 1,
            width,
            &line(left_bottom, right_bottom),
            style,
        );
        let strong = self.theme.strong();
        self.text(
            x + 2,
            y,
            width.saturating_sub(4),
            &format!(" {title} "),
            strong,
        );
        Rect {
            x: area.x + 2,
            y: area.y + 1,
            width: area.width.saturating_sub(4),
            height: area.height.saturating_sub(2),
        }
    }
}
