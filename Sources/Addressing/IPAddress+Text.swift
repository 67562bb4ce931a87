extension IPAddress: LosslessStringConvertible {
    /// Parses dotted IPv4 or IPv6 text (RFC 4291 section 2.2), without zone, brackets or prefix.
    ///
    /// - Returns: `nil` for anything else; leading zeros in IPv4 octets are refused as ambiguous.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        if bytes.contains(UInt8(ascii: ":")) {
            guard let address = IPAddress.parseIPv6(bytes[...]) else { return nil }
            self = address
        } else {
            guard let bits = IPAddress.parseIPv4(bytes[...]) else { return nil }
            self.init(v4: bits)
        }
    }

    /// Parses text, as the generic initializer does.
    public init?(_ description: String) {
        self.init(description[...])
    }

    /// Canonical text: dotted IPv4, or IPv6 by RFC 5952.
    public var description: String {
        if isIPv4 {
            let bits = v4Bits
            return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
        }
        return IPAddress.format(groups: groups)
    }

    /// The eight 16-bit groups, first to last.
    private var groups: [UInt16] {
        (0..<8).map { index in
            let word = index < 4 ? high : low
            return UInt16(truncatingIfNeeded: word >> UInt64(48 - 16 * (index % 4)))
        }
    }

    private static func format(groups: [UInt16]) -> String {
        let gap = longestZeroRun(groups)
        var text = ""
        var index = 0
        while index < groups.count {
            if let gap, index == gap.lowerBound {
                text += "::"
                index = gap.upperBound
                continue
            }
            if !text.isEmpty && !text.hasSuffix(":") { text += ":" }
            text += String(groups[index], radix: 16)
            index += 1
        }
        return text
    }

    /// The first longest run of two or more zero groups (RFC 5952 section 4.2).
    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
        var best: Range<Int>?
        var start = 0
        while start < groups.count {
            var end = start
            while end < groups.count && groups[end] == 0 { end += 1 }
            if end - start >= 2 && end - start > (best?.count ?? 0) { best = start..<end }
            start = max(end, start + 1)
        }
        return best
    }

    private static func parseIPv4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bits: UInt32 = 0
        for part in parts {
            guard (1...3).contains(part.count), part.count == 1 || part.first != UInt8(ascii: "0")
            else { return nil }
            var octet: UInt32 = 0
            for byte in part {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
                octet = octet * 10 + UInt32(byte - UInt8(ascii: "0"))
            }
            guard octet <= 255 else { return nil }
            bits = bits << 8 | octet
        }
        return bits
    }

    private static func parseIPv6(_ bytes: ArraySlice<UInt8>) -> IPAddress? {
        guard let gap = doubleColon(in: bytes) else {
            guard let groups = parseGroups(bytes), groups.count == 8 else { return nil }
            return join(groups)
        }
        let headBytes = bytes[..<gap]
        let tailBytes = bytes[(gap + 2)...]
        guard doubleColon(in: tailBytes) == nil, tailBytes.first != UInt8(ascii: ":") else {
            return nil
        }
        guard let head = headBytes.isEmpty ? [] : parseGroups(headBytes),
            let tail = tailBytes.isEmpty ? [] : parseGroups(tailBytes),
            head.count + tail.count <= 7
        else { return nil }
        return join(head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail)
    }

    private static func doubleColon(in bytes: ArraySlice<UInt8>) -> Int? {
        bytes.indices.dropLast().first {
            bytes[$0] == UInt8(ascii: ":") && bytes[$0 + 1] == UInt8(ascii: ":")
        }
    }

    private static func parseGroups(_ bytes: ArraySlice<UInt8>) -> [UInt16]? {
        let parts = bytes.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var groups: [UInt16] = []
        for (index, part) in parts.enumerated() {
            if index == parts.count - 1, part.contains(UInt8(ascii: ".")) {
                guard let bits = parseIPv4(part) else { return nil }
                groups += [UInt16(bits >> 16), UInt16(bits & 0xffff)]
                continue
            }
            guard (1...4).contains(part.count),
                let text = String(validating: part, as: UTF8.self),
                !text.hasPrefix("+"), !text.hasPrefix("-"),
                let group = UInt16(text, radix: 16)
            else { return nil }
            groups.append(group)
        }
        return groups
    }

    private static func join(_ groups: [UInt16]) -> IPAddress {
        let words = groups.map(UInt64.init)
        return IPAddress(
            high: words[0] << 48 | words[1] << 32 | words[2] << 16 | words[3],
            low: words[4] << 48 | words[5] << 32 | words[6] << 16 | words[7]
        )
    }
}
