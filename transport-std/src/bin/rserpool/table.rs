//! Tables for people.

use std::io::{self, Write};

use crate::output::Paint;

/// Rows of text under headings, in columns as wide as they need to be.
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Table { headings: headings.to_vec(), rows: Vec::new(), right: vec![false; headings.len()] }
    }

    /// Numbers are easier to compare at the right edge.
    pub(crate) fn right(mut self, columns: &[usize]) -> Self {
        for (column, right) in self.right.iter_mut().enumerate() {
            *right |= columns.contains(&column);
        }
        self
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let paint = Paint::stdout();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(self.headings.get(column).map(|h| h.len())).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headings.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for ((cell, width), right) in cells.zip(&widths).zip(&self.right) {
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                if !line.is_empty() {
                    line.push_str("  ");
                }
                if *right {
                    line.push_str(&pad);
                }
                line.push_str(cell);
                if !*right {
                    line.push_str(&pad);
                }
            }
            line.trim_end().to_owned()
        };
        writeln!(out, "{}", paint.dim(line(&mut self.headings.iter().copied())))?;
        for row in &self.rows {
            writeln!(out, "{}", line(&mut row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}
