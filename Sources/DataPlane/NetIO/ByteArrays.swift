/// Between arrays, which the control side keeps bytes in, and the spans that streams and parsers
/// take.
extension Array<UInt8> {
    /// Appends the bytes of a span.
    package mutating func append(copying bytes: RawSpan) {
        guard bytes.byteCount > 0 else { return }
        unsafe bytes.withUnsafeBytes { unsafe append(contentsOf: $0) }
    }

    /// Lends the bytes as a span.
    package func withRawSpan<Result>(_ body: (RawSpan) -> Result) -> Result {
        unsafe body(span.bytes)
    }
}
