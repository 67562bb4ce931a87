/// The server_name extension (RFC 6066 section 3).
enum ServerName {
    /// Reads the host name of an extension's body; `nil` when it is malformed or has none.
    static func parse(extension body: [UInt8]) -> String? {
        guard body.count >= 5 else { return nil }
        let listLength = Int(body[0]) << 8 | Int(body[1])
        guard listLength + 2 == body.count, body[2] == 0 else { return nil }
        let nameLength = Int(body[3]) << 8 | Int(body[4])
        guard nameLength > 0, nameLength <= 255, nameLength + 5 <= body.count else { return nil }
        let name = body[5..<(5 + nameLength)]
        guard name.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { return nil }
        return String(validating: name, as: UTF8.self)
    }
}

/// A look at the first bytes of a connection, before anything is decided: is it TLS, and for whom
/// (RFC 8446 section 4.1.2).
package enum ClientHello {
    /// What the bytes are.
    package enum Outcome: Equatable, Sendable {
        /// More bytes are needed to tell.
        case needMore
        /// Not a TLS handshake.
        case notTLS
        /// A ClientHello that is not well formed.
        case malformed
        /// A ClientHello.
        case hello(serverName: String?, protocols: [String])
    }

    /// The longest ClientHello that is looked at, in bytes.
    package static let byteLimit = 16_384
    /// Records that a ClientHello may be cut into (RFC 8446 section 5.1).
    static let recordMax = 32

    /// Looks at what has arrived.
    package static func peek(_ bytes: RawSpan) -> Outcome {
        guard bytes.byteCount >= 1 else { return .needMore }
        guard bytes.byte(at: 0) == 22 else { return .notTLS }
        guard bytes.byteCount >= 6 else { return .needMore }
        guard bytes.byte(at: 1) == 3, bytes.byte(at: 5) == 1 else { return .notTLS }
        let recordLength = recordByteCount(bytes, 0)
        guard recordLength >= 1, recordLength <= byteLimit else { return .malformed }
        guard bytes.byteCount >= 5 + recordLength else { return .needMore }
        if recordLength >= 4 {
            let length = messageByteCount(bytes, 5)
            if length + 4 <= recordLength {
                var reader = Reader(bytes: bytes.extracting(9..<(9 + length)))
                return reader.hello() ?? .malformed
            }
        }
        return peekPieces(bytes)
    }

    /// Looks at a ClientHello that is cut into several records.
    private static func peekPieces(_ bytes: RawSpan) -> Outcome {
        var message: [UInt8] = []
        var at = 0
        for _ in 0..<recordMax {
            guard bytes.byteCount >= at + 5 else { return .needMore }
            let length = recordByteCount(bytes, at)
            guard bytes.byte(at: at) == 22, bytes.byte(at: at + 1) == 3, length >= 1,
                length <= byteLimit
            else { return .malformed }
            guard bytes.byteCount >= at + 5 + length else { return .needMore }
            message.append(copying: bytes.extracting((at + 5)..<(at + 5 + length)))
            at += 5 + length
            guard message.count >= 4 else { continue }
            let total = message.withRawSpan { messageByteCount($0, 0) } + 4
            guard total <= byteLimit else { return .malformed }
            guard message.count < total else {
                return message.withRawSpan { message in
                    var reader = Reader(bytes: message.extracting(4..<total))
                    return reader.hello() ?? .malformed
                }
            }
        }
        return .malformed
    }

    private static func recordByteCount(_ bytes: RawSpan, _ at: Int) -> Int {
        Int(bytes.byte(at: at + 3)) << 8 | Int(bytes.byte(at: at + 4))
    }

    private static func messageByteCount(_ bytes: RawSpan, _ at: Int) -> Int {
        Int(bytes.byte(at: at + 1)) << 16 | Int(bytes.byte(at: at + 2)) << 8
            | Int(bytes.byte(at: at + 3))
    }

    private struct Reader: ~Escapable {
        let bytes: RawSpan
        var at = 0

        @_lifetime(copy bytes)
        init(bytes: RawSpan) { self.bytes = bytes }

        mutating func number(_ byteCount: Int) -> Int? {
            guard at + byteCount <= bytes.byteCount else { return nil }
            var value = 0
            for _ in 0..<byteCount {
                value = value << 8 | Int(bytes.byte(at: at))
                at += 1
            }
            return value
        }

        mutating func skip(_ byteCount: Int) -> Bool {
            guard at + byteCount <= bytes.byteCount else { return false }
            at += byteCount
            return true
        }

        mutating func array(_ byteCount: Int) -> [UInt8]? {
            guard at + byteCount <= bytes.byteCount else { return nil }
            var result: [UInt8] = []
            for _ in 0..<byteCount {
                result.append(bytes.byte(at: at))
                at += 1
            }
            return result
        }

        mutating func hello() -> Outcome? {
            guard skip(34), let session = number(1), skip(session), let ciphers = number(2),
                skip(ciphers), let compressions = number(1), skip(compressions)
            else { return nil }
            var name: String?
            var protocols: [String] = []
            guard at < bytes.byteCount else {
                return .hello(serverName: nil, protocols: [])
            }
            guard let total = number(2), at + total <= bytes.byteCount else { return nil }
            let end = at + total
            while at < end {
                guard let kind = number(2), let length = number(2), at + length <= end,
                    let body = array(length)
                else { return nil }
                if kind == 0 { name = ServerName.parse(extension: body) }
                if kind == 16 { protocols = Reader.protocols(body) }
            }
            return .hello(serverName: name, protocols: protocols)
        }

        /// The names of an ALPN extension (RFC 7301 section 3.1).
        static func protocols(_ body: [UInt8]) -> [String] {
            var names: [String] = []
            var at = 2
            while at < body.count {
                let length = Int(body[at])
                guard length > 0, at + 1 + length <= body.count else { break }
                names.append(String(decoding: body[(at + 1)..<(at + 1 + length)], as: UTF8.self))
                at += 1 + length
            }
            return names
        }
    }
}
