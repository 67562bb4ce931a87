/// A request's path apart from its query.
struct RequestPath: BitwiseCopyable {
    /// Where the path begins in the head.
    let start: Int
    /// Bytes of the path, without the query.
    let pathByteCount: Int
    /// Where the query begins, after `?`.
    let queryStart: Int
    /// Bytes of the query.
    let queryByteCount: Int
    /// Whether it holds bytes that may keep it from having its one form: dots, percent signs,
    /// backslashes.
    let isNotable: Bool

    @inline(__always)
    init(_ bytes: RawSpan, _ start: Int, _ byteCount: Int) {
        self.start = start
        let end = start + byteCount
        var at = start
        var notable = false
        while at < end {
            at = bytes.firstNotable(at..<end)
            guard at < end, bytes.byte(at: at) != UInt8(ascii: "?") else { break }
            notable = true
            at += 1
        }
        pathByteCount = at - start
        queryStart = min(at + 1, end)
        queryByteCount = end - queryStart
        isNotable = notable
    }
}
