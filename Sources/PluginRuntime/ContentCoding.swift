/// A content coding (RFC 9110 section 8.4.1) that bodies can be compressed with.
enum ContentCoding: String, CaseIterable, Sendable {
    case zstd
    case brotli = "br"
    case gzip

    /// A coding by its name; `x-gzip` is an old name of `gzip`.
    init?(name: some StringProtocol) {
        let lower = name.lowercased()
        self.init(rawValue: lower == "x-gzip" ? "gzip" : lower)
    }

    /// Chooses by what a client accepts (RFC 9110 section 12.5.3): the highest weight, of equals the
    /// first that is offered.
    ///
    /// - Parameters:
    ///   - fields: the values of all `Accept-Encoding` lines; without one nothing is chosen.
    ///   - offered: in order of preference.
    /// - Returns: `nil` where the body is best left as it is.
    static func choose(from fields: [String], offered: [ContentCoding]) -> ContentCoding? {
        var weights: [String: Int] = [:]
        for field in fields {
            for item in field.split(separator: ",") {
                let parts = item.split(separator: ";").map { trimmed($0) }
                guard let name = parts.first, !name.isEmpty else { continue }
                let coding = name.lowercased() == "x-gzip" ? "gzip" : name.lowercased()
                weights[coding] = weight(parts.dropFirst())
            }
        }
        let others = weights["*"] ?? 0
        var best: (coding: ContentCoding, weight: Int)?
        for coding in offered {
            let weight = weights[coding.rawValue] ?? others
            if weight > best?.weight ?? 0 { best = (coding, weight) }
        }
        guard let best, best.weight >= weights["identity"] ?? 0 else { return nil }
        return best.coding
    }

    /// A weight in thousandths; one that cannot be read counts as none.
    private static func weight(_ parameters: ArraySlice<Substring>) -> Int {
        for parameter in parameters {
            let pair = parameter.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, trimmed(pair[0]).lowercased() == "q" else { continue }
            guard let value = Double(trimmed(pair[1])), (0...1).contains(value) else { return 0 }
            return Int(value * 1_000)
        }
        return 1_000
    }

    /// Without blanks at the ends.
    static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " || text.first == "\t" { text.removeFirst() }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return text
    }
}
