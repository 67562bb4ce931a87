import Addressing

/// A set of known header names.
struct HeaderMask: BitwiseCopyable {
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    init(_ identifiers: HeaderID...) {
        for identifier in identifiers { insert(identifier) }
    }

    mutating func insert(_ identifier: HeaderID) {
        let bit = UInt64(identifier.rawValue)
        if bit < 64 { low |= 1 << bit } else { high |= 1 << (bit - 64) }
    }

    mutating func formUnion(_ other: HeaderMask) {
        low |= other.low
        high |= other.high
    }

    @inline(__always)
    func contains(_ identifier: HeaderID) -> Bool {
        let bit = UInt64(identifier.rawValue)
        return bit < 64 ? low >> bit & 1 == 1 : high >> (bit - 64) & 1 == 1
    }
}

extension ScratchBuffer {
    /// Writes header lines, leaving out hop-by-hop fields (RFC 9110 section 7.6.1) and those of a
    /// mask. Neighbouring lines of HTTP/1 that stay go over in one piece.
    func append(fields: Span<HeaderField>, of bytes: RawSpan, skipping skipped: HeaderMask) {
        var runStart = 0
        var runEnd = 0
        for index in fields.indices {
            let field = fields[index]
            guard !field.flags.contains(.hopByHop), !skipped.contains(field.id) else { continue }
            let start = Int(field.nameOffset)
            if field.lineLength > 0 {
                if start == runEnd {
                    runEnd = start + Int(field.lineLength)
                    continue
                }
                if runEnd > runStart { append(bytes.extracting(runStart..<runEnd)) }
                runStart = start
                runEnd = start + Int(field.lineLength)
                continue
            }
            if runEnd > runStart { append(bytes.extracting(runStart..<runEnd)) }
            runStart = 0
            runEnd = 0
            append(bytes.extracting(field.nameRange))
            append(": ")
            append(bytes.extracting(field.valueRange))
            append("\r\n")
        }
        if runEnd > runStart { append(bytes.extracting(runStart..<runEnd)) }
    }

    /// Writes an address as text (IPv4, or IPv6 in full without compression).
    func append(address: IPAddress) {
        if address.isIPv4 {
            let bits = address.v4Bits
            append(decimal: UInt64(bits >> 24))
            append(byte: UInt8(ascii: "."))
            append(decimal: UInt64(bits >> 16 & 255))
            append(byte: UInt8(ascii: "."))
            append(decimal: UInt64(bits >> 8 & 255))
            append(byte: UInt8(ascii: "."))
            append(decimal: UInt64(bits & 255))
            return
        }
        for group in 0..<8 {
            if group > 0 { append(byte: UInt8(ascii: ":")) }
            let word = group < 4 ? address.high : address.low
            append(hexadecimal: word >> UInt64(48 - 16 * (group % 4)) & 0xffff)
        }
    }

    /// Writes an address and a port.
    func append(address: SocketAddress) {
        if address.ip.isIPv4 {
            append(address: address.ip)
        } else {
            append(byte: UInt8(ascii: "["))
            append(address: address.ip)
            append(byte: UInt8(ascii: "]"))
        }
        append(byte: UInt8(ascii: ":"))
        append(decimal: UInt64(address.port))
    }
}
