import DataPlane

/// Facts about headers of the PROXY protocol: more bytes only turn "need more" into an answer, a
/// header is within its bound, and what was read can be written and read again.
enum ProxyHeaderFacts {
    static func check(_ bytes: [UInt8]) {
        let whole = read(bytes)
        if case .header(let header, let byteCount) = whole {
            precondition(byteCount <= min(bytes.count, ProxyHeader.byteLimit), "a header too long")
            for version in [UInt8(1), 2] {
                let written = header.bytes(version: version)
                let again = read(written)
                precondition(again != .needMore && again != .absent, "a header that is none")
                if version == 2 {
                    precondition(
                        again == .header(header, byteCount: written.count),
                        "another header came back"
                    )
                }
            }
        }
        guard bytes.count <= 256 else { return }
        for count in 0..<bytes.count {
            let part = read(Array(bytes[..<count]))
            precondition(part == .needMore || part == whole, "an answer that more bytes changed")
        }
    }

    private static func read(_ bytes: [UInt8]) -> ProxyHeader.Outcome {
        unsafe ProxyHeader.read(bytes.span.bytes)
    }
}
