/// Cuts a watch response into its lines: one JSON event each, ended by a line feed, wherever the
/// transport cut the bytes.
package struct WatchLineSplitter: Sendable {
    /// An event is at most an etcd object (1.5 MiB) with its frame; 4 MiB leaves room for servers
    /// with a raised limit. A longer line ends the watch.
    package static let lineByteLimit = 4_194_304

    /// A line was longer than allowed.
    package struct LineTooLong: Error, Equatable, Sendable {
        /// The limit, bytes.
        package let byteLimit: Int
    }

    /// The limit, bytes.
    package let lineByteLimit: Int
    private var partial: [UInt8] = []

    /// Makes a splitter at the start of a response.
    package init(lineByteLimit: Int = WatchLineSplitter.lineByteLimit) {
        self.lineByteLimit = lineByteLimit
    }

    /// Bytes of the line that has not ended yet.
    package var partialByteCount: Int { partial.count }

    /// Takes the next bytes and returns the lines that end in them, without line feeds; empty lines
    /// are left out.
    package mutating func append(_ bytes: [UInt8]) throws(LineTooLong) -> [[UInt8]] {
        var lines: [[UInt8]] = []
        var rest = bytes[...]
        while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            let piece = rest[..<end]
            try check(piece.count)
            if partial.isEmpty {
                if !piece.isEmpty { lines.append(Array(piece)) }
            } else {
                partial.append(contentsOf: piece)
                lines.append(partial)
                partial = []
            }
            rest = rest[(end + 1)...]
        }
        try check(rest.count)
        partial.append(contentsOf: rest)
        return lines
    }

    /// Takes the line that the response ended without a line feed, if there is one.
    package mutating func finish() -> [UInt8]? {
        defer { partial = [] }
        return partial.isEmpty ? nil : partial
    }

    private func check(_ more: Int) throws(LineTooLong) {
        guard partial.count + more <= lineByteLimit else {
            DiscoveryLimits.watchLine.reached()
            throw LineTooLong(byteLimit: lineByteLimit)
        }
    }
}
