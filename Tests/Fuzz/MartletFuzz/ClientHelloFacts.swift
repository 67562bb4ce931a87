import DataPlane

/// Facts about the look at a ClientHello: more bytes only turn "need more" into an answer, names are
/// printable and bounded.
enum ClientHelloFacts {
    static func check(_ bytes: [UInt8]) {
        let whole = peek(bytes[...])
        if case .hello(let serverName, _) = whole, let serverName {
            precondition((1...255).contains(serverName.utf8.count), "a name out of bounds")
            precondition(serverName.utf8.allSatisfy { (0x21...0x7e).contains($0) }, "a raw name")
        }
        guard bytes.count <= 256 else { return }
        for count in 0..<bytes.count {
            let part = peek(bytes[..<count])
            precondition(part == .needMore || part == whole, "an answer that more bytes changed")
        }
    }

    private static func peek(_ bytes: ArraySlice<UInt8>) -> ClientHello.Outcome {
        let input = Array(bytes)
        return unsafe ClientHello.peek(input.span.bytes)
    }
}
