/// Field sections that were read lately, with what they held: a peer that asks again with the same
/// fields, or an endpoint that answers with the same, is understood by one comparison of bytes.
///
/// A section is found by a few of its words and compared in full, so that what is recalled is what
/// reading would have found. One worker owns it.
package struct FieldMemos: ~Copyable {
    /// How many sections are remembered.
    private static let count = 64
    /// Longer sections, and those of more fields, are read each time.
    static let byteLimit = 1_024
    static let fieldMax = 24
    /// Sections below this size are read each time: the words that find them reach so far.
    private static let byteMin = 64
    /// Sections in a row that were not recalled, beyond which only each of so many is noted:
    /// traffic that never repeats itself is not to pay for being remembered.
    private static let missMax: UInt32 = 32

    private struct Row: BitwiseCopyable {
        /// 0 for an empty place.
        var byteCount = 0
        /// The longest line.
        var lineByteCount = 0
        var lines = FieldLines()
    }

    private let rows: Table<Row>
    private let text: Table<UInt8>
    private let fields: Table<HeaderField>
    /// Sections in a row that were not recalled, in one element.
    private let missCount = Table<UInt32>(count: 1, repeating: 0)

    /// Makes an empty set.
    ///
    /// - Parameter remembers: `false` for one that stays empty: heads that do not come often.
    package init(remembers: Bool = true) {
        let count = remembers ? FieldMemos.count : 0
        rows = Table(count: count, repeating: Row())
        text = Table(count: count * FieldMemos.byteLimit, repeating: 0)
        fields = Table(count: count * FieldMemos.fieldMax, repeating: HeaderField())
    }

    /// Where a section that begins at `start` would be; `nil` for a short one.
    @inline(__always)
    func place(_ bytes: RawSpan, _ start: Int) -> Int? {
        guard bytes.byteCount &- start >= FieldMemos.byteMin, rows.count > 0 else { return nil }
        let first = bytes.word(at: start &+ 8)
        let second = bytes.word(at: start &+ 24)
        let third = bytes.word(at: start &+ 40)
        let fourth = bytes.word(at: start &+ 56)
        let mixed = (first ^ (second << 29 | second >> 35)) &+ (third << 11 | third >> 53) ^ fourth
        return Int(truncatingIfNeeded: (mixed &* 0x9e37_79b9_7f4a_7c15) >> 58)
    }

    /// Whether a section was noted and is within bounds.
    @inline(__always)
    func knows(
        _ place: Int,
        _ bytes: RawSpan,
        _ start: Int,
        _ limits: HeadLimits,
        _ fieldMax: Int
    ) -> Bool {
        let byteCount = rows[place].byteCount
        return byteCount > 0 && byteCount <= bytes.byteCount &- start
            && bytes.equals(start, text.bytes(place &* FieldMemos.byteLimit, byteCount))
            && rows[place].lineByteCount <= limits.fieldLineByteLimit
            && rows[place].lines.count <= min(limits.fieldCountMax, fieldMax)
    }

    /// What was read of a section that is known.
    @inline(__always)
    func recall(
        _ place: Int,
        _ start: Int,
        into target: inout MutableSpan<HeaderField>
    ) -> FieldLines {
        var lines = rows[place].lines
        lines.end = start &+ rows[place].byteCount
        target.copy(
            lines.count,
            of: fields.span,
            from: place &* FieldMemos.fieldMax,
            movedBy: UInt32(truncatingIfNeeded: start)
        )
        missCount[0] = 0
        return lines
    }

    /// Remembers a section that was read.
    @inline(never)
    func note(
        _ place: Int,
        _ bytes: RawSpan,
        _ start: Int,
        _ read: borrowing MutableSpan<HeaderField>,
        _ lines: FieldLines
    ) {
        missCount[0] &+= 1
        let misses = missCount[0]
        let byteCount = lines.end &- start
        guard misses <= FieldMemos.missMax || misses % FieldMemos.missMax == 0,
            byteCount <= FieldMemos.byteLimit, lines.count <= FieldMemos.fieldMax
        else { return }
        var row = Row(byteCount: byteCount, lines: lines)
        for index in 0..<lines.count {
            var field = read[index]
            row.lineByteCount = max(row.lineByteCount, Int(field.lineLength))
            field.nameOffset &-= UInt32(truncatingIfNeeded: start)
            field.valueOffset &-= UInt32(truncatingIfNeeded: start)
            fields[place &* FieldMemos.fieldMax &+ index] = field
        }
        for offset in 0..<byteCount {
            text[place &* FieldMemos.byteLimit &+ offset] = bytes.byte(at: start &+ offset)
        }
        rows[place] = row
    }
}
