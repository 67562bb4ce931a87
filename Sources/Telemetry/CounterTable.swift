import Synchronization

/// One worker's cells of a counter table, with that worker as the one writer.
package final class CounterCells: Sendable {
    /// Cells of one table and worker: 64 KiB.
    package static let cellCount = 8_192

    @usableFromInline let cells: InlineArray<8_192, Atomic<UInt64>>

    /// Makes zeros.
    package init() { cells = InlineArray { _ in Atomic(0) } }

    /// Counts up. Only the one writer calls this.
    ///
    /// - Parameters:
    ///   - index: a row's base index plus a column.
    @inlinable package func add(_ index: Int, _ amount: UInt64 = 1) {
        let before = cells[index].load(ordering: .relaxed)
        cells[index].store(before &+ amount, ordering: .relaxed)
    }

    /// Counts down, in columns that are gauges. Only the one writer calls this.
    @inlinable package func subtract(_ index: Int, _ amount: UInt64 = 1) {
        let before = cells[index].load(ordering: .relaxed)
        cells[index].store(before &- amount, ordering: .relaxed)
    }

    /// The value now, from any thread.
    package func value(_ index: Int) -> UInt64 { cells[index].load(ordering: .relaxed) }
}

/// Counters by a label set that comes and goes: listeners, routes, clusters.
///
/// A row's base index is handed out while a view is compiled and travels inside the view; workers
/// add at `base + column`. Rows are bounded: what finds none is counted in row 0, labelled `other`.
package final class CounterTable: Sendable {
    /// Label sets come and go in steps; a row is given to another set only after this many steps,
    /// when no exchange that began under the old one is likely to count any more.
    private static let restingStepCount: UInt64 = 4

    private struct Row {
        var labels: [String]
        var isInUse = true
        var retiredAtStep: UInt64 = 0
        /// What the cells held when the row was given to its label set.
        var baseline: [UInt64]
    }

    private struct Rows {
        var rows: [Row] = []
        var indexByLabels: [[String]: Int] = [:]
        var step: UInt64 = 0
        var overflowCount: UInt64 = 0
    }

    /// The meaning of each column; the labels of a row come before those of a column.
    package let columns: [CounterDefinition]
    /// The names of a row's labels.
    package let labelNames: [String]
    /// Rows there can be, the one for `other` included.
    package let rowMax: Int
    private let workers: [CounterCells]
    private let state: Mutex<Rows>

    /// Makes a table.
    ///
    /// - Parameters:
    ///   - columns: 1...64 columns.
    ///   - workerCount: how many writers there are.
    package init(labelNames: [String], columns: [CounterDefinition], workerCount: Int) {
        precondition((1...64).contains(columns.count))
        self.columns = columns
        self.labelNames = labelNames
        rowMax = CounterCells.cellCount / columns.count
        workers = (0..<workerCount).map { _ in CounterCells() }
        let other = Row(
            labels: labelNames.map { _ in "other" },
            baseline: columns.map { _ in 0 }
        )
        state = Mutex(Rows(rows: [other], indexByLabels: [other.labels: 0]))
    }

    /// The cells that worker 0..<`workerCount` writes.
    package func cells(worker: Int) -> CounterCells { workers[worker] }

    /// The base index of a label set's row; 0, the row of `other`, when the table is full.
    ///
    /// - Parameters:
    ///   - labels: one value for each of `labelNames`.
    package func base(for labels: [String]) -> Int {
        precondition(labels.count == labelNames.count)
        let row = state.withLock { rows in assign(labels, &rows) }
        return row * columns.count
    }

    /// Says which label sets are in use from here on; the rows of others may be reused later. To be
    /// called once after each compile.
    package func retain(_ labelSets: Set<[String]>) {
        state.withLock { rows in
            rows.step += 1
            for index in rows.rows.indices.dropFirst() where rows.rows[index].isInUse {
                guard !labelSets.contains(rows.rows[index].labels) else { continue }
                rows.rows[index].isInUse = false
                rows.rows[index].retiredAtStep = rows.step
            }
        }
    }

    /// Label sets that found no row, counted each time they asked.
    package var overflowCount: UInt64 { state.withLock(\.overflowCount) }

    /// The sum over all workers of one column in the row of a label set; 0 where there is no row.
    package func total(_ labels: [String], column: Int) -> UInt64 {
        state.withLock { rows in
            guard let row = rows.indexByLabels[labels] else { return 0 }
            return sum(row, column) &- rows.rows[row].baseline[column]
        }
    }

    /// Every row in use with its totals, by column.
    package func totals() -> [(labels: [String], values: [UInt64])] {
        state.withLock { rows in
            rows.rows.indices.filter { rows.rows[$0].isInUse }.map { row in
                let values = columns.indices.map { sum(row, $0) &- rows.rows[row].baseline[$0] }
                return (rows.rows[row].labels, values)
            }
        }
    }

    private func sum(_ row: Int, _ column: Int) -> UInt64 {
        workers.reduce(0) { $0 &+ $1.value(row * columns.count + column) }
    }

    private func assign(_ labels: [String], _ rows: inout Rows) -> Int {
        if let row = rows.indexByLabels[labels] {
            rows.rows[row].isInUse = true
            return row
        }
        if rows.rows.count < rowMax {
            rows.rows.append(Row(labels: labels, baseline: columns.map { _ in 0 }))
            rows.indexByLabels[labels] = rows.rows.count - 1
            return rows.rows.count - 1
        }
        let step = rows.step
        let rested = rows.rows.indices.dropFirst().first { index in
            let row = rows.rows[index]
            return !row.isInUse && step >= row.retiredAtStep + CounterTable.restingStepCount
        }
        guard let row = rested else {
            rows.overflowCount += 1
            return 0
        }
        rows.indexByLabels[rows.rows[row].labels] = nil
        rows.indexByLabels[labels] = row
        rows.rows[row] = Row(labels: labels, baseline: columns.indices.map { sum(row, $0) })
        return row
    }
}
