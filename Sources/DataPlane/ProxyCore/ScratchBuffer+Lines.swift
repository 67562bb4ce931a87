import Addressing

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
                if runEnd > runStart { append(bytes, runStart..<runEnd) }
                runStart = start
                runEnd = start + Int(field.lineLength)
                continue
            }
            if runEnd > runStart { append(bytes, runStart..<runEnd) }
            runStart = 0
            runEnd = 0
            append(bytes, field.nameRange)
            append(": ")
            append(bytes, field.valueRange)
            append("\r\n")
        }
        if runEnd > runStart { append(bytes, runStart..<runEnd) }
    }

    /// Writes an address as text (IPv4, or IPv6 in full without compression).
    func append(address: IPAddress) {
        if address.isIPv4 {
            append(dotted: address.v4Bits)
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
