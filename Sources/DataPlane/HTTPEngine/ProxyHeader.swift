import Addressing

/// A header of the PROXY protocol, versions 1 and 2 (haproxy's `proxy-protocol.txt`, revision of
/// 2020-03-05): who a connection is from, in the words of the proxy that made it.
package struct ProxyHeader: Equatable, Sendable {
    /// The most that a header may take, its records (TLVs) included. Version 1 has at most 107.
    package static let byteLimit = 4_096
    /// The most of a header of version 1, its line end included.
    static let lineByteLimit = 107
    /// What version 2 begins with.
    static let signature: [UInt8] = [
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
    ]
    /// What version 1 begins with.
    static let word = Array("PROXY ".utf8)

    /// The two ends of the connection that the client made; `nil` where the header says that there
    /// is none, or none that has addresses: the socket's own are then meant.
    package struct Ends: Equatable, Sendable {
        /// The client.
        package var source: SocketAddress
        /// What the client dialled.
        package var destination: SocketAddress

        /// Makes a pair.
        package init(source: SocketAddress, destination: SocketAddress) {
            self.source = source
            self.destination = destination
        }
    }

    /// What is wrong with a header.
    package enum Fault: Equatable, Sendable {
        /// It goes past its bound.
        case tooLong
        /// It is none by the words of the protocol.
        case malformed
        /// Its checksum is of other bytes.
        case checksum
    }

    /// What the first bytes of a connection are.
    package enum Outcome: Equatable, Sendable {
        /// They may become a header.
        case needMore
        /// No header.
        case absent
        /// A header, of so many bytes.
        case header(ProxyHeader, byteCount: Int)
        /// A header that is not valid.
        case fault(Fault)
    }

    /// The connection that the client made.
    package var ends: Ends?

    /// Makes a header.
    package init(ends: Ends?) { self.ends = ends }

    /// Reads the first bytes of a connection.
    package static func read(_ bytes: RawSpan) -> Outcome {
        if begins(bytes, with: word) {
            return bytes.byteCount < word.count ? .needMore : readLine(bytes)
        }
        if begins(bytes, with: signature) {
            return bytes.byteCount < 16 ? .needMore : readBinary(bytes)
        }
        return .absent
    }

    /// Whether bytes agree with a beginning as far as both go.
    private static func begins(_ bytes: RawSpan, with start: [UInt8]) -> Bool {
        for at in 0..<min(bytes.byteCount, start.count) where bytes.byte(at: at) != start[at] {
            return false
        }
        return true
    }

    // MARK: Version 1

    private static func readLine(_ bytes: RawSpan) -> Outcome {
        var end = word.count
        while end + 1 < min(bytes.byteCount, lineByteLimit) {
            if bytes.byte(at: end) == 0x0d && bytes.byte(at: end + 1) == 0x0a {
                return parts(text(bytes, word.count, end), byteCount: end + 2)
            }
            end += 1
        }
        return bytes.byteCount < lineByteLimit ? .needMore : .fault(.tooLong)
    }

    private static func text(_ bytes: RawSpan, _ start: Int, _ end: Int) -> String {
        var text = ""
        for at in start..<end { text.unicodeScalars.append(Unicode.Scalar(bytes.byte(at: at))) }
        return text
    }

    /// `TCP4 192.0.2.1 198.51.100.1 56324 443`: single blanks, nothing before and nothing behind.
    private static func parts(_ line: String, byteCount: Int) -> Outcome {
        let parts = line.split(separator: " ", omittingEmptySubsequences: false)
        // What follows UNKNOWN is to be passed over, whatever it is (section 2.1).
        if parts[0] == "UNKNOWN" { return .header(ProxyHeader(ends: nil), byteCount: byteCount) }
        guard parts.count == 5, parts[0] == "TCP4" || parts[0] == "TCP6",
            let source = address(parts[1], isIPv4: parts[0] == "TCP4"),
            let destination = address(parts[2], isIPv4: parts[0] == "TCP4"),
            let sourcePort = port(parts[3]), let destinationPort = port(parts[4])
        else { return .fault(.malformed) }
        let ends = Ends(
            source: SocketAddress(source, sourcePort),
            destination: SocketAddress(destination, destinationPort)
        )
        return .header(ProxyHeader(ends: ends), byteCount: byteCount)
    }

    private static func address(_ text: Substring, isIPv4: Bool) -> IPAddress? {
        guard text.contains(":") != isIPv4 else { return nil }
        return IPAddress(text)
    }

    /// Decimal, without leading zeros.
    private static func port(_ text: Substring) -> UInt16? {
        guard (1...5).contains(text.utf8.count),
            text == "0" || text.utf8.first != UInt8(ascii: "0"),
            text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return UInt16(text)
    }

    // MARK: Version 2

    /// What a header of version 2 says of the connection's kind: the 13th and 14th byte.
    private enum Kind {
        case local
        case unspecified
        case stream(addressByteCount: Int)
        case localSocket

        init?(_ command: UInt8, _ family: UInt8) {
            switch (command, family) {
            // What a proxy says for itself: family and addresses are passed over (section 2.2).
            case (0x20, _): self = .local
            case (0x21, 0x00): self = .unspecified
            case (0x21, 0x11): self = .stream(addressByteCount: 4)
            case (0x21, 0x21): self = .stream(addressByteCount: 16)
            case (0x21, 0x31): self = .localSocket
            default: return nil
            }
        }
    }

    private static func readBinary(_ bytes: RawSpan) -> Outcome {
        guard let kind = Kind(bytes.byte(at: 12), bytes.byte(at: 13)) else {
            return .fault(.malformed)
        }
        let byteCount = 16 + number(bytes, 14)
        guard byteCount <= byteLimit else { return .fault(.tooLong) }
        guard bytes.byteCount >= byteCount else { return .needMore }
        let header = bytes.extracting(0..<byteCount)
        switch kind {
        case .local, .unspecified: return .header(ProxyHeader(ends: nil), byteCount: byteCount)
        case .localSocket: return withRecords(header, from: 16 + 216, ends: nil)
        case .stream(let size):
            guard byteCount >= 16 + 2 * size + 4 else { return .fault(.malformed) }
            let ports = 16 + 2 * size
            let ends = Ends(
                source: SocketAddress(
                    address(header, 16, size),
                    UInt16(number(header, ports))
                ),
                destination: SocketAddress(
                    address(header, 16 + size, size),
                    UInt16(number(header, ports + 2))
                )
            )
            return withRecords(header, from: ports + 4, ends: ends)
        }
    }

    private static func number(_ bytes: RawSpan, _ at: Int) -> Int {
        Int(bytes.byte(at: at)) << 8 | Int(bytes.byte(at: at + 1))
    }

    private static func address(_ bytes: RawSpan, _ start: Int, _ size: Int) -> IPAddress {
        var words: (high: UInt64, low: UInt64) = (0, 0)
        for at in start..<(start + size) {
            words.high = words.high << 8 | words.low >> 56
            words.low = words.low << 8 | UInt64(bytes.byte(at: at))
        }
        return size == 4
            ? IPAddress(v4: UInt32(truncatingIfNeeded: words.low))
            : IPAddress(high: words.high, low: words.low)
    }

    // MARK: Records

    /// `PP2_TYPE_CRC32C` (section 2.2.4).
    private static let checksumType: UInt8 = 0x03

    /// Goes over the records behind the addresses: they must fill the header exactly, and a
    /// checksum among them must be of its bytes. What else they say is passed over.
    private static func withRecords(_ header: RawSpan, from start: Int, ends: Ends?) -> Outcome {
        guard start <= header.byteCount else { return .fault(.malformed) }
        var at = start
        var checksumAt: Int?
        while at < header.byteCount {
            guard at + 3 <= header.byteCount else { return .fault(.malformed) }
            let byteCount = number(header, at + 1)
            guard at + 3 + byteCount <= header.byteCount else { return .fault(.malformed) }
            if header.byte(at: at) == checksumType {
                guard byteCount == 4, checksumAt == nil else { return .fault(.malformed) }
                checksumAt = at + 3
            }
            at += 3 + byteCount
        }
        if let checksumAt {
            let said =
                UInt32(number(header, checksumAt)) << 16
                | UInt32(number(header, checksumAt + 2))
            guard said == checksum(header, without: checksumAt) else { return .fault(.checksum) }
        }
        return .header(ProxyHeader(ends: ends), byteCount: header.byteCount)
    }

    /// CRC32c (RFC 4960 appendix B) with the four bytes of the checksum itself taken for zero.
    static func checksum(_ bytes: RawSpan, without hole: Int) -> UInt32 {
        var value: UInt32 = .max
        for at in 0..<bytes.byteCount {
            value ^= (hole..<(hole + 4)).contains(at) ? 0 : UInt32(bytes.byte(at: at))
            for _ in 0..<8 { value = value >> 1 ^ (value & 1 == 0 ? 0 : 0x82f6_3b78) }
        }
        return ~value
    }

    // MARK: Writing

    /// The header's bytes.
    ///
    /// - Parameter version: 1 or 2.
    package func bytes(version: UInt8) -> [UInt8] {
        version == 1 ? Array(line.utf8) : binary
    }

    private var line: String {
        guard let ends, ends.source.ip.isIPv4 == ends.destination.ip.isIPv4 else {
            return "PROXY UNKNOWN\r\n"
        }
        let family = ends.source.ip.isIPv4 ? "TCP4" : "TCP6"
        return "PROXY \(family) \(ends.source.ip) \(ends.destination.ip)"
            + " \(ends.source.port) \(ends.destination.port)\r\n"
    }

    private var binary: [UInt8] {
        guard let ends else { return ProxyHeader.signature + [0x20, 0x00, 0x00, 0x00] }
        let isIPv4 = ends.source.ip.isIPv4 && ends.destination.ip.isIPv4
        let addresses = [ends.source.ip, ends.destination.ip].flatMap {
            isIPv4 ? $0.networkBytes : $0.mappedNetworkBytes
        }
        let ports = [ends.source.port, ends.destination.port].flatMap {
            [UInt8($0 >> 8), UInt8($0 & 0xff)]
        }
        let byteCount = UInt8(addresses.count + ports.count)
        return ProxyHeader.signature + [0x21, isIPv4 ? 0x11 : 0x21, 0, byteCount] + addresses
            + ports
    }
}
