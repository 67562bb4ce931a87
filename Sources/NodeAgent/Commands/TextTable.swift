/// Columns of text, each as wide as its widest cell.
struct TextTable {
    private var rows: [[String]]

    /// Begins with the titles.
    init(_ titles: [String]) { rows = [titles] }

    /// Adds a row; it has as many cells as there are titles.
    mutating func add(_ cells: [String]) { rows.append(cells) }

    /// The lines, without spaces at their ends; none where only the titles are there.
    var lines: [String] {
        guard rows.count > 1 else { return [] }
        let widths = rows[0].indices.map { column in
            rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let cells = zip(row, widths).map { cell, width in
                cell + String(repeating: " ", count: max(0, width - cell.count))
            }
            var line = cells.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line
        }
    }
}
