import Addressing

/// An entry of X-Forwarded-For: an address, maybe with a port, IPv6 maybe in brackets.
enum ForwardedAddress {
    /// Reads an entry with blanks around it; `nil` for what is no address.
    static func read(_ entry: RawSpan) -> IPAddress? {
        var start = 0
        var end = entry.byteCount
        while start < end && isBlank(entry.byte(at: start)) { start += 1 }
        while end > start && isBlank(entry.byte(at: end - 1)) { end -= 1 }
        // The longest text: IPv6 with an IPv4 tail, brackets and a port.
        guard start < end, end - start <= 53 else { return nil }
        var text = ""
        var colonCount = 0
        var close = -1
        for at in start..<end {
            let byte = entry.byte(at: at)
            guard byte < 0x80 else { return nil }
            if byte == UInt8(ascii: ":") { colonCount += 1 }
            if byte == UInt8(ascii: "]") { close = at }
            text.unicodeScalars.append(Unicode.Scalar(byte))
        }
        if text.hasPrefix("[") {
            guard close >= 0 else { return nil }
            return IPAddress(text.dropFirst().prefix(close - start - 1))
        }
        if colonCount == 1, let colon = text.firstIndex(of: ":") {
            return IPAddress(text[..<colon])
        }
        return IPAddress(text)
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
