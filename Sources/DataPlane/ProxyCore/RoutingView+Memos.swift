/// A host as it was asked for and what was found: the next request for it takes one look, whether
/// it was found by its name, by a wildcard or not at all, and whatever its case and port.
struct HostMemo: BitwiseCopyable {
    /// Memos of a view.
    static let count = 64
    /// Longer hosts are searched for each time.
    static let byteCountMax = 24

    /// The text in words: its start, its end, and what is between them; they overlap.
    var first: UInt64 = 0
    var middle: UInt64 = 0
    var last: UInt64 = 0
    var entry: Int32 = -1
    var byteCount: Int32 = 0
    var host: Int32 = -1

    init() {}

    @inline(__always)
    init(_ entry: Int32, _ bytes: RawSpan, _ start: Int, _ count: Int) {
        self.entry = entry
        byteCount = Int32(truncatingIfNeeded: count)
        first = bytes.word(at: start)
        if count < 8 {
            first &= 1 &<< UInt64(count &* 8) &- 1
        } else {
            last = bytes.word(at: start &+ count &- 8)
            if count > 16 { middle = bytes.word(at: start &+ 8) }
        }
    }

    /// Its place among the memos.
    @inline(__always)
    var place: Int {
        let mixed = (first ^ (last << 29 | last >> 35) ^ middle) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed >> 58)
    }

    /// Whether another memo is of the same host, asked for at the same entry point.
    @inline(__always)
    func isSameRequest(as other: HostMemo) -> Bool {
        first == other.first && last == other.last && middle == other.middle
            && entry == other.entry && byteCount == other.byteCount
    }
}

/// A path as it was asked for and the action it led to, for hosts whose rules look at nothing else.
struct PathMemo: BitwiseCopyable {
    /// Memos of a view.
    static let count = 256
    /// Longer paths are searched for each time.
    static let byteCountMax = 40

    /// The text in words: the last overlaps those before it.
    var words: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
    var host: Int32 = -1
    var byteCount: Int32 = 0
    var action: Int32 = -1

    init() {}

    @inline(__always)
    init(_ host: Int32, _ bytes: RawSpan, _ start: Int, _ count: Int) {
        self.host = host
        byteCount = Int32(truncatingIfNeeded: count)
        words.0 = bytes.word(at: start)
        guard count > 8 else {
            words.0 &= UInt64.max &>> UInt64(64 &- count &* 8)
            return
        }
        words.4 = bytes.word(at: start &+ count &- 8)
        guard count > 16 else { return }
        words.1 = bytes.word(at: start &+ 8)
        guard count > 24 else { return }
        words.2 = bytes.word(at: start &+ 16)
        if count > 32 { words.3 = bytes.word(at: start &+ 24) }
    }

    /// Its place among the memos.
    @inline(__always)
    var place: Int {
        var mixed = (words.0 ^ UInt64(UInt32(bitPattern: host))) &* 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ mixed >> 32 ^ words.1 ^ words.4) &* 0x9e37_79b9_7f4a_7c15
        mixed = (mixed ^ words.2 << 1 ^ words.3 << 3) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed >> 56)
    }

    /// Whether another memo is of the same path of the same host.
    @inline(__always)
    func isSameRequest(as other: PathMemo) -> Bool {
        words == other.words && host == other.host && byteCount == other.byteCount
    }
}

extension HostMemo {
    /// What is remembered of a host; else what is found, which is then remembered.
    ///
    /// - Parameter search: finds the host in the view's tables.
    @inline(__always)
    static func find(
        _ entry: Int32,
        _ bytes: RawSpan,
        _ start: Int,
        _ count: Int,
        in memos: Table<HostMemo>,
        search: () -> Int32
    ) -> Int32 {
        guard count > 0 && count <= byteCountMax else { return search() }
        var memo = HostMemo(entry, bytes, start, count)
        let place = memo.place
        if memos[place].isSameRequest(as: memo) { return memos[place].host }
        memo.host = search()
        memos[place] = memo
        return memo.host
    }
}

extension PathMemo {
    /// What is remembered of a path; else what is found, which is then remembered.
    ///
    /// - Parameters:
    ///   - row: the row of `host`.
    ///   - search: finds the action in the view's tables.
    @inline(__always)
    static func find(
        _ host: Int32,
        _ row: HostRow,
        _ bytes: RawSpan,
        _ path: RequestPath,
        in memos: Table<PathMemo>,
        search: () -> Int32
    ) -> Int32 {
        let count = path.pathByteCount
        guard row.isUnconditional, count > 0, count <= byteCountMax else { return search() }
        var memo = PathMemo(host, bytes, path.start, count)
        let place = memo.place
        if memos[place].isSameRequest(as: memo) { return memos[place].action }
        memo.action = search()
        memos[place] = memo
        return memo.action
    }
}

extension RoutingView {
    /// Finds the virtual host for an authority; -1 for none.
    func findHost(_ entry: Int32, _ bytes: RawSpan, _ start: Int, _ count: Int) -> Int32 {
        HostMemo.find(entry, bytes, start, count, in: hostMemos) {
            searchHost(entry, bytes, start, count)
        }
    }

    /// Finds the action for a request to a host; -1 for none.
    func findAction(
        _ host: Int32,
        _ bytes: RawSpan,
        _ fields: Span<HeaderField>,
        _ method: TextRange,
        _ path: RequestPath
    ) -> Int32 {
        PathMemo.find(host, hosts[Int(host)], bytes, path, in: pathMemos) {
            searchAction(host, bytes, fields, method, path)
        }
    }
}

/// The same of the view in force. These read its tables one by one: a call of the view's own would
/// be given a copy of them all.
extension HTTPProxy {
    /// Finds the virtual host that a request is for; -1 for none.
    @inline(__always)
    func findHost(_ it: Place<Exchange>, _ bytes: RawSpan) -> Int32 {
        let entry = it.value.entry
        guard entry >= 0, Int(entry) < view.entries.count, view.entries[Int(entry)].isPresent
        else { return -1 }
        let start = Int(it.value.head.authorityOffset)
        let count = Int(it.value.head.authorityLength)
        return HostMemo.find(entry, bytes, start, count, in: view.hostMemos) {
            searchHost(entry, bytes, start, count)
        }
    }

    /// Finds the action for a request to a host; -1 for none.
    @inline(__always)
    func findAction(
        _ it: Place<Exchange>,
        _ host: Int32,
        _ bytes: RawSpan,
        _ path: RequestPath
    ) -> Int32 {
        PathMemo.find(host, view.hosts[Int(host)], bytes, path, in: view.pathMemos) {
            searchAction(it, host, bytes, path)
        }
    }

    @inline(never)
    private func searchHost(_ entry: Int32, _ bytes: RawSpan, _ start: Int, _ count: Int) -> Int32 {
        view.searchHost(entry, bytes, start, count)
    }

    @inline(never)
    private func searchAction(
        _ it: Place<Exchange>,
        _ host: Int32,
        _ bytes: RawSpan,
        _ path: RequestPath
    ) -> Int32 {
        let head = it.value.head
        let method = TextRange(start: head.methodOffset, byteCount: head.methodLength)
        return view.searchAction(host, bytes, headFields(it), method, path)
    }
}
