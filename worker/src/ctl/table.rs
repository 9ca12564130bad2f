//! Plain tables: a head, rows, columns as wide as their widest cell. Cells are cleaned here, so that no caller can
//! forget it.

use super::text::{columns, cut, one_line};

/// The least that a column is cut to; the whole text is there where no terminal is, in `--json` and in `show`.
const CELL_MIN: usize = 16;
/// Between two columns.
const GAP: usize = 2;

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
        let shown = |cell: &String| match one_line(cell) {
            empty if empty.is_empty() => "-".to_owned(),
            text => text,
        };
        self.rows.push(cells.iter().map(shown).collect());
    }

    /// There is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The head and the rows, aligned, without blanks at their ends; cut to `room` columns where there is a limit.
    pub fn lines(&self, room: Option<usize>) -> Vec<String> {
        let head: Vec<String> = self.head.iter().map(|title| (*title).to_owned()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let mut widths: Vec<usize> = (0..self.head.len())
            .map(|n| all.iter().filter_map(|row| row.get(n)).map(|cell| columns(cell)).max().unwrap_or(0))
            .collect();
        if let Some(room) = room {
            narrow(&mut widths, room);
        }
        all.iter().map(|row| aligned(row, &widths)).collect()
    }
}

/// Takes from the widest columns what is too much.
fn narrow(widths: &mut [usize], room: usize) {
    loop {
        let whole = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
        let Some(widest) = widths.iter_mut().max().filter(|width| whole > room && **width > CELL_MIN) else { return };
        *widest -= 1;
    }
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        let cell = cut(cell, *width);
        line.push_str(&cell);
        line.extend(std::iter::repeat_n(' ', (width + GAP).saturating_sub(columns(&cell))));
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
        assert_eq!(table.lines(None), ["ID  TITLE   AGE", "1   日本    3s", "22  a[0m b  -"]);
    }

    #[test]
    fn long_cells_are_cut_to_the_room_of_a_terminal_and_whole_elsewhere() {
        let mut table = Table::new(&["ID", "TITLE", "REASON"]);
        table.row(["1".into(), "t".repeat(50), "y".repeat(500)]);
        assert_eq!(table.lines(None)[1], format!("1   {}  {}", "t".repeat(50), "y".repeat(500)));
        let lines = table.lines(Some(80));
        assert_eq!(lines[1].chars().count(), 80);
        assert!(lines[1].ends_with("y…") && lines[1].starts_with("1   tttt"), "{lines:?}");
        // In a window that is too small for any table nothing is cut away whole.
        assert!(table.lines(Some(10))[1].contains(&"y".repeat(CELL_MIN - 1)));
    }
}
