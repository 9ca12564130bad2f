//! Plain tables: a head, rows, columns as wide as their widest cell. Cells are cleaned here, so that no caller can
//! forget it.

use super::text::{columns, cut, one_line};

/// Columns of a cell before it is cut; the whole text is in `--json` and in `show`.
const CELL_MAX: usize = 64;

/// A table to be shown.
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(head: &[&'static str]) -> Table {
        Table { head: head.to_vec(), rows: Vec::new() }
    }

    /// One more row; a cell that is missing is empty.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        let shown = |cell: &String| match cut(&one_line(cell), CELL_MAX) {
            empty if empty.is_empty() => "-".to_owned(),
            text => text,
        };
        self.rows.push(cells.iter().map(shown).collect());
    }

    /// There is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The head and the rows, aligned, without blanks at their ends.
    pub fn lines(&self) -> Vec<String> {
        let head: Vec<String> = self.head.iter().map(|title| (*title).to_owned()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let widths: Vec<usize> = (0..self.head.len())
            .map(|n| all.iter().filter_map(|row| row.get(n)).map(|cell| columns(cell)).max().unwrap_or(0))
            .collect();
        all.iter().map(|row| aligned(row, &widths)).collect()
    }
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', (width + 2).saturating_sub(columns(cell))));
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_clean() {
        let mut table = Table::new(&["ID", "TITLE", "AGE"]);
        assert!(table.is_empty());
        table.row(["1".into(), "日本".into(), "3s".into()]);
        table.row(["22".into(), "a\u{1b}[0m\nb".into(), String::new()]);
        assert_eq!(table.lines(), ["ID  TITLE   AGE", "1   日本    3s", "22  a[0m b  -"]);
    }

    #[test]
    fn a_long_cell_is_cut() {
        let mut table = Table::new(&["X"]);
        table.row(["y".repeat(500)]);
        assert_eq!(table.lines()[1].chars().count(), CELL_MAX);
    }
}
