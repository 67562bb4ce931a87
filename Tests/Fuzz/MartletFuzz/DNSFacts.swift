import Discovery

/// Facts about answers of name servers: no more addresses than records, and a part of an answer is
/// foreign or says what the whole says.
enum DNSFacts {
    static func check(_ bytes: [UInt8]) {
        for kind in DNSQuestion.Kind.allCases {
            guard let question = DNSQuestion("a.example", kind, identifier: 7) else {
                preconditionFailure("a host name that is none")
            }
            let whole = question.answer(in: bytes)
            if case .addresses(let found, _) = whole, !found.isEmpty {
                precondition(
                    found.count <= Int(bytes[6]) << 8 | Int(bytes[7]),
                    "too many addresses"
                )
            }
            guard bytes.count <= 256 else { continue }
            for count in 0..<bytes.count {
                let part = question.answer(in: Array(bytes[..<count]))
                precondition(part == .foreign || part == whole, "an answer that more bytes changed")
            }
        }
    }
}
