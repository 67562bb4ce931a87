/// The streams of one HTTP/2 connection that have an exchange: a small hash table in one array.
/// Ids count up by two, so that nearly every look-up ends at its first slot.
struct HTTP2StreamTable {
    /// One stream.
    struct Row: BitwiseCopyable {
        /// The stream's id; 0 for a free slot.
        var stream: Int32 = 0
        var exchange = Handle<Exchange>.none
        /// When the client last did something for it, seconds of the monotonic clock.
        var progressSecond: UInt32 = 0
        /// Bytes of its response that went out since then.
        var sentByteCount: UInt32 = 0
    }

    private static let initialCapacity = 8
    private var rows: [Row] = []
    /// How many there are.
    private(set) var count = 0

    /// Whether there are none.
    var isEmpty: Bool { count == 0 }
    /// The bound for a walk by slots.
    var capacity: Int { rows.count }

    /// Adds a stream that is not in the table.
    mutating func insert(_ row: Row) {
        if count * 4 >= rows.count * 3 { grow() }
        place(row)
        count += 1
    }

    /// The exchange of a stream.
    func exchange(_ stream: Int32) -> Handle<Exchange>? {
        guard let slot = slot(of: stream) else { return nil }
        return rows[slot].exchange
    }

    /// The slot of a stream.
    func slot(of stream: Int32) -> Int? {
        guard count > 0 else { return nil }
        var slot = home(stream)
        while rows[slot].stream != stream {
            guard rows[slot].stream != 0 else { return nil }
            slot = (slot + 1) & (rows.count - 1)
        }
        return slot
    }

    /// A slot's row; one of stream 0 is free.
    subscript(slot: Int) -> Row {
        get { rows[slot] }
        set { rows[slot] = newValue }
    }

    /// Takes a stream out.
    mutating func remove(_ stream: Int32) -> Handle<Exchange>? {
        guard let slot = slot(of: stream) else { return nil }
        let exchange = rows[slot].exchange
        close(slot)
        count -= 1
        return exchange
    }

    private func home(_ stream: Int32) -> Int { Int(stream >> 1) & (rows.count - 1) }

    private mutating func place(_ row: Row) {
        var slot = home(row.stream)
        while rows[slot].stream != 0 { slot = (slot + 1) & (rows.count - 1) }
        rows[slot] = row
    }

    private mutating func grow() {
        let old = rows
        let capacity = max(HTTP2StreamTable.initialCapacity, old.count * 2)
        rows = Array(repeating: Row(), count: capacity)
        for row in old where row.stream != 0 { place(row) }
    }

    /// Frees a slot and moves those behind it up that would not be found past it.
    private mutating func close(_ freed: Int) {
        let mask = rows.count - 1
        var hole = freed
        var slot = (hole + 1) & mask
        while rows[slot].stream != 0 {
            let distance = (slot - home(rows[slot].stream)) & mask
            if distance >= (slot - hole) & mask {
                rows[hole] = rows[slot]
                hole = slot
            }
            slot = (slot + 1) & mask
        }
        rows[hole] = Row()
    }
}
