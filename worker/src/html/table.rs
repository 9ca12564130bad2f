//! A table as Markdown has it: one line for each row, the first one named as its head.

/// Writes rows of cells; a cell may have several lines.
pub fn write(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (n, row) in rows.iter().enumerate() {
        let cells = (0..columns).map(|at| row.get(at).map_or("", String::as_str));
        lines.push(line(cells));
        if n == 0 {
            lines.push(line((0..columns).map(|_| "---")));
        }
    }
    lines
}

fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let cells: Vec<&str> = cells.collect();
    format!("| {} |", cells.join(" | "))
}

/// A cell's lines in the one line that a table gives it.
pub fn cell(lines: &[String]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    lines.join("<br>").replace('|', "\\|")
}
